// `Handle`: from the caller to the state machine and back.
#include "cluster.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

TEST_SUITE("node/handle") {
  TEST_CASE("a single node elects itself and applies a command") {
    Cluster cluster(1);
    Cluster::Node& leader = cluster.WaitForLeader();
    Result<Bytes> result = cluster.Handle(*leader.raft, "x");
    REQUIRE_MESSAGE(result.has_value(), result.error().message());
    CHECK(result.value().view() == "1:x");
  }

  TEST_CASE("three nodes apply the same commands in the same order") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    for (int i = 0; i < 100; ++i) {
      Result<Bytes> result = cluster.Handle(*leader.raft, "c" + std::to_string(i));
      REQUIRE_MESSAGE(result.has_value(), result.error().message());
      CHECK(result.value().view() == std::to_string(i + 1) + ":c" + std::to_string(i));
    }
    cluster.Until("all nodes to have applied", [&] {
      for (auto& node : cluster.nodes)
        if (node.machine->applied.size() != 100) return false;
      return true;
    });
    for (auto& node : cluster.nodes) CHECK(node.machine->applied == leader.machine->applied);
  }

  TEST_CASE("a follower refuses and names the leader") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    for (auto& node : cluster.nodes) {
      if (&node == &leader) continue;
      cluster.Until("the follower to know its leader", [&] { return node.raft->Status().leader.has_value(); });
      Result<Bytes> result = cluster.Handle(*node.raft, "x");
      REQUIRE(!result.has_value());
      CHECK(result.error() == Errc::kNotLeader);
      REQUIRE(result.error().leader().has_value());
      CHECK(*result.error().leader() == Peer(leader.options.id, leader.options.addr));
    }
  }

  TEST_CASE("a follower forwards to the leader") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    for (auto& node : cluster.nodes) {
      Result<Bytes> result = cluster.Handle(*node.raft, "f", HandleOptions().Forward());
      REQUIRE_MESSAGE(result.has_value(), result.error().message());
    }
    CHECK(leader.machine->applied.size() == 3);
  }

  TEST_CASE("when the leader is cut off, another leads and nothing acknowledged is lost") {
    Cluster cluster(3);
    Cluster::Node& old_leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*old_leader.raft, "before").has_value());
    cluster.network.Cut(old_leader.options.addr);
    Cluster::Node& leader = cluster.WaitForLeader();
    CHECK(&leader != &old_leader);
    REQUIRE(cluster.Handle(*leader.raft, "after").has_value());
    CHECK(leader.machine->applied == std::vector<std::string>{"before", "after"});
    cluster.network.Heal(old_leader.options.addr);
    cluster.Until("the old leader to catch up", [&] { return old_leader.machine->applied.size() == 2; });
    CHECK(old_leader.machine->applied == leader.machine->applied);
    CHECK(!old_leader.raft->IsLeader());
  }
}
