// Members with a data directory that was emptied, restored from a backup, or copied (hazard C17 in tests/CATALOGUE.md:
// a wiped node returns under its old id and votes again).
#include "core/configuration.h"
#include "fixed_list.h"
#include "node/start_counts.h"
#include "start_counts_support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

std::shared_ptr<Storage> CopyOf(Storage& original) {
  auto copy = MakeMemoryStorage();
  const std::vector<BatchRef> batches = original.Read(Index(1), SIZE_MAX).value();
  REQUIRE(copy->Commit(original.Recover().value().hard_state, std::nullopt, batches).has_value());
  for (const char* key : {node::kIdentityKey, node::kMembersKey, node::kStartsKey})
    REQUIRE(copy->Store().Set(key, original.Store().Get(key).value()).has_value());
  return copy;
}

// By its own directory, before it runs.
bool IsRefused(Cluster::Node& node, const std::string& why) {
  auto raft = Raft::Create(node.options, *node.machine);
  return !raft && raft.error() == Errc::kDuplicateNode && raft.error().message().find(why) != std::string::npos;
}

// The start counts in this storage have a later start of the node than `peer`.
bool KnowsLaterThan(Storage& storage, const Identity& peer) {
  node::StartCounts counts = node::StartCounts::Decode(storage.Store().Get(node::kStartsKey).value()).value();
  return Check(counts, peer).errc == Errc::kDuplicateNode;
}

}  // namespace

TEST_SUITE("node/duplicate") {
  TEST_CASE("C17: a member with an emptied directory counts for nothing until it is readmitted") {
    FixedList nodes;
    for (uint64_t id : {1, 2, 3}) nodes.Start(id);
    Cluster& cluster = nodes.cluster;
    const uint64_t leader = cluster.WaitForLeader().options.id.value();
    const uint64_t emptied = leader % 3 + 1, other = emptied % 3 + 1;
    REQUIRE(cluster.Handle(*cluster.At(leader).raft, "a").has_value());
    nodes.StartEmptied(emptied);
    nodes.UntilLogged(emptied, "does not vote: the cluster has begun without this data directory");
    nodes.UntilLogged(leader, "node " + std::to_string(emptied) + " replies from a different data directory");
    cluster.Until("its leader to know", [&] { return nodes.NeedsReadmission(emptied); });

    // The leader has one voter left, and then none: it steps down, and no node is elected.
    cluster.network.Cut(cluster.At(other).options.addr);
    cluster.Until("the leader to step down", [&] { return cluster.Leader() == nullptr; });
    const uint64_t before = cluster.network.bootstrap_calls();
    cluster.Until("the emptied one to ask on", [&] {
      CHECK(cluster.Leader() == nullptr);
      return cluster.network.bootstrap_calls() >= before + 50;
    });
    CHECK_FALSE(nodes.HasBootstrapped(emptied));
    cluster.network.Heal(cluster.At(other).options.addr);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    CHECK_FALSE(nodes.HasBootstrapped(emptied));

    REQUIRE(nodes.Readmit(emptied) == Errc::kOk);
    cluster.Until("it to have the log", [&] { return cluster.At(emptied).machine->applied.size() == 2; });
    CHECK_FALSE(nodes.NeedsReadmission(emptied));
    // It counts: one of the two others is no longer needed.
    cluster.network.Cut(cluster.At(other).options.addr);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "c").has_value());
  }

  TEST_CASE("C17: a restored backup is refused, also by a node that was restarted after it met the later start") {
    FixedList nodes;
    for (uint64_t id : {1, 2, 3}) nodes.Start(id);
    Cluster& cluster = nodes.cluster;
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
    Cluster::Node& restored = cluster.At(3);
    const std::string backup = restored.storage->Store().Get(node::kIdentityKey).value();
    cluster.Restart(restored);
    cluster.Restart(restored);
    Identity second = Start(2, 0);
    second.node = NodeId(3);
    second.incarnation = core::Configuration::Decode(nodes.Written(3)).value().Find(NodeId(3))->incarnation;
    cluster.Until("node 1 to have stored the third start",
                  [&] { return KnowsLaterThan(*cluster.At(1).storage, second); });
    for (Cluster::Node& node : cluster.nodes) node.raft.reset();
    cluster.Restart(cluster.At(1));
    REQUIRE(restored.storage->Store().Set(node::kIdentityKey, backup).has_value());
    cluster.Restart(restored);  // its second start again
    cluster.Until("it to be refused", [&] { return restored.raft->Status().is_stopped; });
    const Error reason = restored.raft->Status().stop_reason;
    CHECK(reason == Errc::kDuplicateNode);
    CHECK(reason.message().find("node 1 knows a later start of this data directory") != std::string::npos);
    CHECK(reason.message().find("copy or a restored backup") != std::string::npos);

    // For good: though each start raises the count, starting it often enough does not get it accepted.
    restored.raft.reset();
    for (int i = 0; i < 3; ++i) CHECK(IsRefused(restored, "knows a later start of this data directory"));

    nodes.StartEmptied(3);
    cluster.Restart(cluster.At(2));
    cluster.Until("a leader to know of it", [&] { return nodes.NeedsReadmission(3); });
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    REQUIRE(nodes.Readmit(3) == Errc::kOk);
    cluster.Until("it to have the log", [&] { return restored.machine->applied.size() == 2; });
  }

  TEST_CASE("C17: a copy that is started at another address is refused, and its running original continues") {
    FixedList nodes;
    for (uint64_t id : {1, 2, 3}) nodes.Start(id);
    Cluster& cluster = nodes.cluster;
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
    Cluster::Node& original = cluster.At(3);
    cluster.Until("it to have the log", [&] { return original.machine->applied.size() == 1; });
    cluster.nodes.emplace_back();
    Cluster::Node& copy = cluster.nodes.back();
    copy.options = original.options;
    copy.options.addr = PeerAt(9).addr;
    copy.options.initial_members.clear();  // they are in its log
    copy.storage = CopyOf(*original.storage);
    cluster.Restart(copy);
    cluster.Until("it to be refused", [&] { return copy.raft->Status().is_stopped; });
    const Error reason = copy.raft->Status().stop_reason;
    CHECK(reason == Errc::kDuplicateNode);
    CHECK(reason.message().find("node 3 runs at 127.0.0.1:7103 already, and this one at 127.0.0.1:7109 would be a "
                                "copy of it") != std::string::npos);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    cluster.Until("it to have the log", [&] { return original.machine->applied.size() == 2; });
    CHECK_FALSE(original.raft->Status().is_stopped);
    // It lacks what the original has done since: stopping the original now does not help.
    copy.raft.reset();
    original.raft.reset();
    CHECK(IsRefused(copy, "node 3 runs at 127.0.0.1:7103 already"));
  }
}
