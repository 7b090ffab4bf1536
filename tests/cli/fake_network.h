// A network of the test's: nodes with scripted responses, and a clock that moves only when a caller waits.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/network.h"

namespace ringraft::cli {

struct FakeNode {
  bool is_up = true;
  std::optional<Error> greeting;  // why it admits no operator
  Result<AdminStatus> status = AdminStatus();
  std::function<Result<void>(const Order&)> on_order = [](const Order&) { return Result<void>(Success()); };
  int orders = 0;
};

inline AdminStatus StatusOf(uint64_t id, Role role, std::optional<Peer> leader) {
  AdminStatus status;
  status.raft.id = NodeId(id);
  status.raft.role = role;
  status.raft.leader = std::move(leader);
  return status;
}

class FakeNetwork final : public Network {
 public:
  Result<std::unique_ptr<Node>> Connect(const Addr& addr, TimePoint deadline) override {
    asked.push_back(addr.text());
    deadlines.push_back(deadline);
    const auto found = nodes.find(addr.text());
    if (found == nodes.end() || !found->second.is_up) {
      now += connect_time;
      return Error(Errc::kUnreachable, addr.text() + ": no connection");
    }
    if (found->second.greeting) return *found->second.greeting;
    return std::unique_ptr<Node>(std::make_unique<Link>(found->second));
  }
  TimePoint Now() override { return now; }
  void Sleep(Duration duration) override {
    now += duration;
    if (on_sleep) on_sleep();
  }

  std::map<std::string, FakeNode> nodes;
  std::vector<std::string> asked;
  std::vector<TimePoint> deadlines;  // of connecting
  TimePoint now = TimePoint(std::chrono::hours(1));
  Duration connect_time{};
  std::function<void()> on_sleep;

 private:
  struct Link final : Node {
    explicit Link(FakeNode& of) : node(of) {}
    Result<AdminStatus> Status(TimePoint) override { return node.status; }
    Result<void> Do(const Order& order, TimePoint) override {
      ++node.orders;
      return node.on_order(order);
    }
    FakeNode& node;
  };
};

// Nodes 1, 2 and 3 at a:1, b:2 and c:3.
inline Peer PeerOf(uint64_t id) {
  const char* const addrs[] = {"", "a:1", "b:2", "c:3"};
  return Peer(NodeId(id), Addr(addrs[id]));
}
inline const std::vector<Addr> kAll{Addr("a:1"), Addr("b:2"), Addr("c:3")};

// Each knows its role, and the others name the leader; 0: there is no leader.
inline void Lead(FakeNetwork& network, uint64_t leader) {
  for (uint64_t id = 1; id <= 3; ++id) {
    const std::optional<Peer> known = leader == 0 ? std::nullopt : std::optional<Peer>(PeerOf(leader));
    FakeNode& node = network.nodes[PeerOf(id).addr.text()];
    node.status = StatusOf(id, id == leader ? Role::kLeader : Role::kFollower, known);
    node.on_order = [id, leader, known](const Order&) -> Result<void> {
      if (id != leader) return Error::NotLeader(known);
      return Success();
    };
  }
}

}  // namespace ringraft::cli
