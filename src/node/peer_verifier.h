// Owns this node's identity and the start counts of its peers; verifies each peer against them at each handshake and
// call, and adopts the cluster and the generation that this node joins. Reactor only; owned by the node.
//
// The problem: two processes on two copies of one data directory have one identity, and a log of another generation has
// other entries at the same index and term. Both would break what a majority guarantees. The naive way, to compare the
// ids alone, notices neither. So each process also presents the incarnation of its directory, the number of its start,
// the random ids of its last processes (start_counts.h), and the generation of its log (Generation in rpc.h).
#pragma once

#include "node/identity.h"
#include "node/node_logger.h"
#include "node/start_counts.h"
#include "node/storage_driver.h"
#include "ringraft/errc.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"

namespace ringraft::node {

class PeerVerifier {
 public:
  PeerVerifier(const Options& options, Identity self, StartCounts starts, StorageDriver& storage,
               const NodeLogger& log);

  const Identity& self() const { return self_; }

  // Errors: kOldGeneration; kDuplicateNode if the peer claims this node's id, or runs on a copy of its directory.
  Result<void> Verify(const Identity& peer);
  // Errors: kOldGeneration.
  Result<void> CheckGeneration(NodeId peer, const Generation& generation) const;

  // This node joins the cluster of a peer, and stores that.
  void AdoptCluster(ClusterId cluster);
  // Of a leader, in the turn that has accepted its entries: a node without a log adopts it, and stores it with them.
  void AdoptGeneration(const Generation& generation);
  // Of the cluster that this node bootstraps.
  void StartGeneration(const Generation& generation) { self_.generation = generation; }

 private:
  const Options& options_;
  StorageDriver& storage_;
  const NodeLogger& log_;
  Identity self_;
  StartCounts starts_;
};

}  // namespace ringraft::node
