// Whose data directory it is: the stored identity, its first creation, and what is stored beside it.
#pragma once

#include <string>
#include <string_view>

#include "node/start_counts.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"

namespace ringraft::node {

// What a node knows of itself and of others when it starts.
struct Claim {
  Identity identity;
  std::string members;  // the configuration that was written down to begin a cluster with; empty: none
  StartCounts starts;
};

// Reads the identity, or makes it in an empty storage; refuses another node's, group's or cluster's by name
// (kWrongNode, kWrongCluster), a witness's where none is meant (kInvalidArgument), an unknown format
// (kWrongVersion) and what has been found to be a copy (kDuplicateNode); durably raises the start count.
Result<Claim> ClaimStorage(const Options& options, Storage& storage, const RecoveredLog& recovered);

// Stores an identity whose cluster has been learned.
std::string EncodeIdentity(const Identity& identity, const Options& options);
Result<Identity> DecodeIdentity(const std::string& stored);
inline constexpr const char* kIdentityKey = "ringraft/identity";
inline constexpr const char* kProcessesKey = "ringraft/processes";
inline constexpr const char* kMembersKey = "ringraft/members";
inline constexpr const char* kStartsKey = "ringraft/starts";
inline constexpr const char* kGenerationKey = "ringraft/generation";
inline constexpr const char* kRefusedKey = "ringraft/refused";  // why this directory is a copy or a restored backup

// The first generation of a log whose entry at index 1 has this command. All founders have the same; another founding
// has another, since there are other data directories in it.
Generation FirstGeneration(std::string_view bootstrap_command);
// The stored form of Identity::generation. Without a log it is not known, whatever is stored: no entry is of it.
std::string EncodeGeneration(const Generation& generation);
Result<Generation> ReadGeneration(Storage& storage, const RecoveredLog& recovered);

// Not 0. From the simulated disk, if it is one, so that a run depends on nothing but its seed.
uint64_t RandomNumber(Storage& storage);

// The cluster that the options name, if they do: by cluster_name, otherwise by initial_members.
ClusterId NamedCluster(const Options& options);

// With bootstrap_as_leader and an empty log: the first configuration, of this node alone, and its generation.
Result<void> BeginAlone(const Options& options, Identity& identity, Storage& storage, RecoveredLog& recovered);

}  // namespace ringraft::node
