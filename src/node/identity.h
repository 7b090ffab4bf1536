// Whose data directory it is: the stored identity, its first creation, and the log that a cluster begins with.
#pragma once

#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"

namespace ringraft::node {

// Reads the identity, or makes it in an empty storage; refuses another node's, group's or cluster's by name
// (kWrongNode, kWrongCluster) and an unknown format (kWrongVersion); durably raises the start count.
Result<Identity> ClaimStorage(const Options& options, Storage& storage, const RecoveredLog& recovered);

// Stores an identity whose cluster has been learned.
std::string EncodeIdentity(const Identity& identity, GroupId group);
inline constexpr const char* kIdentityKey = "ringraft/identity";

// The cluster that the options name, if they do: by cluster_name, otherwise by initial_members.
ClusterId NamedCluster(const Options& options);

// Writes the first configuration if the log is empty and the options start a cluster: index 1, term 1, the same bytes
// on every node. Idempotent.
Result<void> BeginLog(const Options& options, Storage& storage, RecoveredLog& recovered);

}  // namespace ringraft::node
