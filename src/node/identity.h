// The stored identity of a data directory: its creation, its checks at each start, and what is stored beside it.
#pragma once

#include <string>
#include <string_view>

#include "node/start_counts.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"

namespace ringraft::node {

// What a node knows of itself and of its peers when it starts.
struct Claim {
  Identity identity;
  std::string members;  // the list that was written down to bootstrap with (bootstrap.h); empty: none
  StartCounts starts;
};

// Claims the storage for one start of the node of `options`: reads the identity, or creates it in an empty storage, and
// durably raises the start count. Errors: kWrongNode, kWrongCluster (the storage is another node's, group's or
// cluster's), kInvalidArgument (options.is_witness differs), kWrongVersion (an unknown format), kDuplicateNode (it was
// refused as a copy), kCorrupt, kIo.
Result<Claim> ClaimStorage(const Options& options, Storage& storage, const RecoveredLog& recovered);

// The stored form, without the process ids and the generation, which are stored beside it.
std::string EncodeIdentity(const Identity& identity, const Options& options);
Result<Identity> DecodeIdentity(const std::string& stored);
inline constexpr const char* kIdentityKey = "ringraft/identity";
inline constexpr const char* kProcessesKey = "ringraft/processes";
inline constexpr const char* kMembersKey = "ringraft/members";
inline constexpr const char* kStartsKey = "ringraft/starts";
inline constexpr const char* kGenerationKey = "ringraft/generation";
inline constexpr const char* kRefusedKey = "ringraft/refused";  // why this directory is a copy or a restored backup

// The first generation of a log with this command at index 1. All bootstrapping members have the same; another
// bootstrap has another, since its entry names other data directories.
Generation FirstGeneration(std::string_view bootstrap_command);
// The stored form of Identity::generation. Without a log it is unknown, whatever is stored: no entry belongs to it.
std::string EncodeGeneration(const Generation& generation);
Result<Generation> ReadGeneration(Storage& storage, const RecoveredLog& recovered);

// Not 0. From the simulated disk if it is one, so that a run depends on nothing but its seed.
uint64_t RandomNumber(Storage& storage);

// The cluster that the options name, by cluster_name or else by initial_members; null if they name none.
ClusterId NamedCluster(const Options& options);

// With bootstrap_as_leader and an empty log: writes the first configuration, of this node alone, and sets its
// generation.
Result<void> BootstrapAlone(const Options& options, Identity& identity, Storage& storage, RecoveredLog& recovered);

}  // namespace ringraft::node
