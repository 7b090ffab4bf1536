// Nodes that bootstrap from a fixed list, started one by one, and what they log.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "cluster.h"
#include "node/node.h"
#include "support.h"

namespace ringraft::test {

inline const std::vector<Peer> kThree = {PeerAt(1), PeerAt(2), PeerAt(3)};

class RememberingLogger final : public Logger {
 public:
  void Write(LogLevel, std::string_view message) override {
    std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  }
  bool Has(uint64_t id, std::string_view text) const {
    const std::string name = "node " + std::to_string(id) + ": ";
    std::lock_guard lock(mutex_);
    return std::any_of(messages_.begin(), messages_.end(), [&](const std::string& message) {
      return message.starts_with(name) && message.find(text) != std::string::npos;
    });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

struct FixedList {
  void Start(uint64_t id, std::vector<Peer> list = kThree) { cluster.Add(id, std::move(list)); }
  // As after `rm -rf` of the directory and a start with the same command line.
  void StartEmptied(uint64_t id) {
    Cluster::Node& node = cluster.At(id);
    node.raft.reset();
    node.storage = MakeMemoryStorage();
    cluster.Restart(node);
  }
  void UntilLogged(uint64_t id, const std::string& text) {
    cluster.Until(text.c_str(), [&] { return logger.Has(id, text); });
  }
  // Long enough for elections if there were a cluster.
  void UntilMoreBootstrapCalls() {
    const uint64_t goal = cluster.network.bootstrap_calls() + 100;
    cluster.Until("the members to send more bootstrap calls",
                  [&] { return cluster.network.bootstrap_calls() >= goal || HasAnyBootstrapped(); });
  }
  std::string Written(uint64_t id) { return cluster.At(id).storage->Store().Get(node::kMembersKey).value(); }
  bool HasBootstrapped(uint64_t id) { return cluster.At(id).storage->Recover().value().last_index != Index(0); }
  bool HasAnyBootstrapped() {
    return std::any_of(cluster.nodes.begin(), cluster.nodes.end(),
                       [&](const Cluster::Node& node) { return HasBootstrapped(node.options.id.value()); });
  }
  bool NeedsReadmission(uint64_t id) {
    const Cluster::Node* leader = cluster.Leader();
    if (leader == nullptr) return false;
    const RaftStatus status = leader->raft->Status();
    return std::any_of(status.peers.begin(), status.peers.end(),
                       [&](const PeerStatus& peer) { return peer.peer.id == NodeId(id) && peer.needs_readmission; });
  }
  Error Change(Raft& raft, ConfigChange change, HandleOptions options = HandleOptions()) {
    const Result<void> changed = cluster.ChangeConfig(raft, std::move(change), std::move(options));
    return changed ? Error() : changed.error();
  }
  Error Readmit(uint64_t id) { return Change(*cluster.WaitForLeader().raft, ConfigChange().Readmit(NodeId(id))); }
  Generation GenerationOf(uint64_t id) {
    Generation generation;
    cluster.InTurn([&] { generation = cluster.At(id).raft->node().peers().self().generation; });
    return generation;
  }

  RememberingLogger logger;
  std::string cluster_name;
  Cluster cluster{0, Setup{[this](Options& options) {
                             options.logger = &logger;
                             options.cluster_name = cluster_name;
                           },
                           {},
                           {}}};
};

}  // namespace ringraft::test
