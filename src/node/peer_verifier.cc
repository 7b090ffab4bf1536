#include "node/peer_verifier.h"

#include <utility>

#include "base/format.h"
#include "base/try.h"

namespace ringraft::node {

PeerVerifier::PeerVerifier(const Options& options, Identity self, StartCounts starts, StorageDriver& storage,
                           const NodeLogger& log)
    : options_(options), storage_(storage), log_(log), self_(std::move(self)), starts_(std::move(starts)) {}

Result<void> PeerVerifier::Verify(const Identity& peer) {
  if (peer.node == options_.id) {
    // Under another name of its own address. kDuplicateNode could make it refuse its directory for good.
    if (peer.process != 0 && peer.process == self_.process && peer.incarnation == self_.incarnation)
      return Error(Errc::kWrongNode, fmt::format("node {} has called itself: the member list has another name of "
                                                 "{}; start it with the address that the members know",
                                                 peer.node, options_.addr));
    return Error(Errc::kDuplicateNode,
                 fmt::format("another process runs as node {}: start {} of data directory {:016x}, and this is start "
                             "{} of {:016x}; stop one of them",
                             peer.node, peer.start_count, peer.incarnation, self_.start_count, self_.incarnation));
  }
  RINGRAFT_TRYV(CheckGeneration(peer.node, peer.generation));
  bool is_news = false;
  Result<void> known = starts_.Check(peer, is_news);
  if (is_news) storage_.StoreUnreported(kStartsKey, starts_.Encode());
  return known;
}

// From some index on the log of another generation has other entries, possibly of the same terms, which log matching
// would take for equal.
Result<void> PeerVerifier::CheckGeneration(NodeId peer, const Generation& generation) const {
  const Generation& ours = self_.generation;
  if (ours.counter == 0 || generation.counter == 0) return Success();
  if (ours.counter != generation.counter) {
    const bool are_we_old = ours.counter < generation.counter;
    return Error(
        Errc::kOldGeneration,
        fmt::format("node {} has cluster generation {}, this node has {}: the cluster was recovered from a "
                    "lost quorum without {}; stop {}, empty its data directory, start it again and add it",
                    peer, generation.counter, ours.counter, are_we_old ? "this node" : "that node",
                    are_we_old ? "this one" : "that one"));
  }
  if (ours.origin == generation.origin || ours.origin == 0 || generation.origin == 0) return Success();
  const char* const what = ours.counter == 1 ? "two clusters were bootstrapped under one identity, for instance after "
                                               "a directory had been emptied"
                                             : "the cluster was recovered from a lost quorum twice, on two nodes";
  return Error(
      Errc::kOldGeneration,
      fmt::format("node {} has cluster generation {}, this node has {}: {}, and their logs differ; decide "
                  "which of the two stays, stop the other's nodes, empty their data directories, start them to join "
                  "it and add or readmit them",
                  peer, ToString(generation), ToString(ours), what));
}

void PeerVerifier::AdoptGeneration(const Generation& generation) {
  if (self_.generation.counter != 0 || generation.counter == 0) return;
  self_.generation = generation;
  storage_.StoreWithNextWrite(kGenerationKey, EncodeGeneration(generation));
}

void PeerVerifier::AdoptCluster(ClusterId cluster) {
  self_.cluster = cluster;
  storage_.StoreUnreported(kIdentityKey, EncodeIdentity(self_, options_));
  log_.Info(fmt::format("joins cluster {}", ToString(cluster)));
}

}  // namespace ringraft::node
