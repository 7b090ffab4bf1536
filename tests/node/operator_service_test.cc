// What a node serves to operators: `node::OperatorService`, as the transport calls it.
#include "node/operator_service.h"

#include "cluster.h"
#include "node/node.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

Task<void> Into(Task<Result<void>> order, std::optional<Result<void>>& result) {
  Result<void> got = co_await order;
  result = std::move(got);
}

// The services that operators of nodes 1 to 3 would have.
struct Services {
  Services() : cluster(3) {
    leader = Lead();
    for (auto& node : cluster.nodes) admins.push_back(&node.raft->node().operator_service());
    REQUIRE(cluster.Handle(*cluster.nodes[leader].raft, "a"));  // an entry of its term is committed
  }
  size_t Lead() {
    const Raft* raft = cluster.WaitForLeader().raft.get();
    size_t i = 0;
    while (cluster.nodes[i].raft.get() != raft) ++i;
    return i;
  }
  size_t other() const { return (leader + 1) % 3; }
  Result<void> Do(Task<Result<void>> order) {
    std::optional<Result<void>> result;
    cluster.reactor->Spawn(Into(std::move(order), result));
    cluster.Until("an order to end", [&] { return result.has_value(); });
    return *result;
  }

  Cluster cluster;
  std::vector<node::OperatorService*> admins;
  size_t leader = 0;
};

}  // namespace

TEST_SUITE_BEGIN("node/operator_service");

TEST_CASE("an operator gets the identity and the status of the node") {
  Services s;
  const auto status = s.admins[s.leader]->Status();
  REQUIRE(status);
  CHECK(status.value().identity.node == NodeId(s.leader + 1));
  CHECK(status.value().identity.cluster);
  CHECK(status.value().identity.start_count == 1);
  CHECK(status.value().group == GroupId(1));
  CHECK(status.value().raft.role == Role::kLeader);
  CHECK(status.value().raft.peers.size() == 3);
}

TEST_CASE("an operator of another group is refused") {
  Services s;
  CHECK(s.admins[0]->Admit(std::nullopt).value() == s.admins[0]);
  CHECK(s.admins[0]->Admit(GroupId(1)));
  const auto refused = s.admins[0]->Admit(GroupId(2));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message() == "node 1 is a member of group 1, not of group 2; correct the group");
}

TEST_CASE("only the leader takes orders, and other nodes name it") {
  Services s;
  const NodeId leader(s.leader + 1);
  node::OperatorService& other = *s.admins[s.other()];
  s.cluster.Until("the others to know the leader",
                  [&] { return s.cluster.nodes[s.other()].raft->Status().leader.has_value(); });
  for (int i = 0; i < 3; ++i) {
    const auto refused = s.Do(i == 0   ? other.ChangeConfig(ConfigChange().Demote(leader), 5s)
                              : i == 1 ? other.AbortConfigChange()
                                       : other.TransferLeadership(NodeId(0), 5s));
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == Errc::kNotLeader);
    REQUIRE(refused.error().leader());
    CHECK(refused.error().leader()->id == leader);
  }
  CHECK(s.Do(s.admins[s.leader]->AbortConfigChange()));
  CHECK(s.Do(s.admins[s.leader]->ChangeConfig(ConfigChange().Demote(NodeId(s.other() + 1)), 5s)));
  CHECK(s.Do(s.admins[s.leader]->ChangeConfig(ConfigChange().Promote(NodeId(s.other() + 1)), 5s)));
  CHECK(s.Do(s.admins[s.leader]->TransferLeadership(NodeId(s.other() + 1), 5s)));
  CHECK(s.Lead() == s.other());
}

TEST_CASE("an order ends at its timeout") {
  Services s;
  const auto change = s.Do(s.admins[s.leader]->ChangeConfig(ConfigChange().AddVoter(PeerAt(9)), 1ms));
  REQUIRE_FALSE(change);
  CHECK(change.error().message().find("before the deadline of the call") != std::string::npos);
}

TEST_CASE("a node that is stopping refuses operators") {
  Services s;
  node::OperatorService& admin = *s.admins[s.other()];
  s.cluster.nodes[s.other()].raft->Stop();
  s.cluster.Until("the stop to begin", [&] { return s.cluster.nodes[s.other()].raft->node().is_stopping(); });
  CHECK(admin.Status().error() == Errc::kStopped);
  CHECK(admin.Admit(std::nullopt).error() == Errc::kStopped);
  CHECK(s.Do(admin.ChangeConfig(ConfigChange().Remove(NodeId(1)), 5s)).error() == Errc::kStopped);
  CHECK(s.Do(admin.AbortConfigChange()).error() == Errc::kStopped);
  CHECK(s.Do(admin.TransferLeadership(NodeId(0), 5s)).error() == Errc::kStopped);
}

TEST_SUITE_END();
