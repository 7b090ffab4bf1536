// Whom a node has before it: each peer at each handshake and call, and whose cluster and generation it takes over.
#include <fmt/format.h>

#include "base/try.h"
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

// Whoever is of another generation has another log from some index on, and does not know it: where the terms are the
// same, log matching would take the one for the other.
Result<void> Node::CheckGeneration(NodeId peer, const Generation& generation) const {
  const Generation& ours = identity_.generation;
  if (ours.counter == 0 || generation.counter == 0) return Success();
  if (ours.counter != generation.counter) {
    const bool are_we_old = ours.counter < generation.counter;
    return Error(
        Errc::kOldGeneration,
        fmt::format("node {} is of generation {} of the cluster, this node of {}: the cluster was recovered from "
                    "a lost quorum without {}; stop {}, empty its data directory, start it again and add it",
                    peer.value(), generation.counter, ours.counter, are_we_old ? "this node" : "that node",
                    are_we_old ? "this one" : "that one"));
  }
  if (ours.origin == generation.origin || ours.origin == 0 || generation.origin == 0) return Success();
  const char* const what = ours.counter == 1
                               ? "two clusters were founded under one identity, as by a founder whose directory had "
                                 "been emptied"
                               : "the cluster was recovered from a lost quorum twice, on two nodes";
  return Error(
      Errc::kOldGeneration,
      fmt::format("node {} is of generation {} of the cluster, this node of {}: {}, and their logs differ; decide "
                  "which of the two stays, stop the other's nodes, empty their data directories, start them to join "
                  "it and add or readmit them",
                  peer.value(), ToString(generation), ToString(ours), what));
}

void Node::FollowGeneration(const Generation& generation) {
  if (identity_.generation.counter != 0 || generation.counter == 0) return;
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
