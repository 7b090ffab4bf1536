// Whom a node has before it: each peer at each handshake and call, and whose cluster and generation it takes over.
#include <fmt/format.h>

#include "coro/try.h"
#include "node/node.h"

namespace ringraft::node {

Result<void> Node::MeetPeer(const Identity& peer) {
  if (peer.node == options_.id) {
    return Error(Errc::kDuplicateNode,
                 fmt::format("another process calls itself node {}: start {} of data directory {:016x}, and this is "
                             "start {} of {:016x}; stop one of them",
                             peer.node.value(), peer.start_count, peer.incarnation, identity_.start_count,
                             identity_.incarnation));
  }
  RINGRAFT_TRYV(CheckGeneration(peer.node, peer.generation));
  bool is_news = false;
  Result<void> known = starts_.Check(peer, is_news);
  if (is_news && !is_stopping_) {
    storage::WriteRequest request;
    request.values.emplace_back(kStartsKey, starts_.Encode());
    commit_queue_->Submit(std::move(request));
  }
  return known;
}

// Whoever is of another generation has another log from some index on, and does not know it.
Result<void> Node::CheckGeneration(NodeId peer, uint64_t generation) const {
  const uint64_t ours = identity_.generation;
  if (ours == 0 || generation == 0 || generation == ours) return Success();
  const bool are_we_old = ours < generation;
  return Error(
      Errc::kOldGeneration,
      fmt::format("node {} is of generation {} of the cluster, this node of {}: the cluster was recovered from "
                  "a lost quorum without {}; stop {}, empty its data directory, start it again and add it",
                  peer.value(), generation, ours, are_we_old ? "this node" : "that node",
                  are_we_old ? "this one" : "that one"));
}

void Node::FollowGeneration(uint64_t generation) {
  if (identity_.generation != 0 || generation == 0) return;
  identity_.generation = generation;
  values_.emplace_back(kGenerationKey, EncodeGeneration(generation));  // on the disk along with the entries
}

Result<void> Node::LearnCluster(ClusterId cluster) {
  identity_.cluster = cluster;
  storage::WriteRequest request;
  request.values.emplace_back(kIdentityKey, EncodeIdentity(identity_, options_));
  commit_queue_->Submit(std::move(request));
  logger_->Write(LogLevel::kInfo, fmt::format("{}: joins cluster {}", Name(), ToString(cluster)));
  return Success();
}

}  // namespace ringraft::node
