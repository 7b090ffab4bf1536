// Recovery from a lost quorum: one node continues alone, by its own log, in a new generation.
#include "node/recovery.h"

#include "cluster.h"
#include "node/node.h"
#include "node/peer_service.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

constexpr int64_t kNow = 1'800'000'000'000'000'000;

// Three nodes that have committed "a" and "b"; all are stopped.
struct LostCluster {
  Cluster cluster{3, Setup{[](Options& options) { options.cluster_name = "c"; }}};

  LostCluster() {
    Raft& leader = *cluster.WaitForLeader().raft;
    for (const char* command : {"a", "b"}) REQUIRE(cluster.Handle(leader, command).has_value());
    cluster.Until("all to have it", [&] {
      return std::all_of(cluster.nodes.begin(), cluster.nodes.end(),
                         [](const Cluster::Node& node) { return node.machine->applied.size() == 2; });
    });
    for (auto& node : cluster.nodes) node.raft.reset();
  }

  void RestartAs(uint64_t id, bool is_empty) {
    Cluster::Node& node = cluster.At(id);
    if (is_empty) {
      node.storage = MakeMemoryStorage();
      node.options.initial_members.clear();
    }
    cluster.Restart(node);
  }
};

Result<void> Add(Cluster& cluster, Raft& raft, uint64_t id, HandleOptions options = HandleOptions()) {
  return cluster.ChangeConfig(raft, ConfigChange().AddVoter(PeerAt(id)), options);
}

using MaybeAppended = std::optional<Result<AppendEntriesResults>>;
Detached AppendInto(RpcService& service, AppendEntriesArgs args, MaybeAppended& result) {
  auto call = service.AppendEntries(std::move(args));
  Result<AppendEntriesResults> got = co_await call;
  result = std::move(got);
}

// As over a connection that was made before either knew the generation of the other.
Error AppendOf(Raft& raft, NodeId leader, const Generation& generation) {
  AppendEntriesArgs args;
  args.leader_id = leader;
  args.generation = generation;
  MaybeAppended appended;
  AppendInto(raft.node().peer_service(), std::move(args), appended);
  REQUIRE(appended.has_value());  // it is refused at once
  return *appended ? Error() : appended->error();
}

}  // namespace

TEST_SUITE("node/recovery") {
  TEST_CASE("examining the log returns its owner and its end, and changes nothing") {
    LostCluster of;
    Storage& storage = *of.cluster.At(2).storage;
    const RecoveredLog before = storage.Recover().value();
    for (int i = 0; i < 2; ++i) {
      auto facts = node::LookAtLog(storage);
      REQUIRE(facts.has_value());
      CHECK(facts.value().identity.node == NodeId(2));
      CHECK(facts.value().identity.generation.counter == 1);
      CHECK(facts.value().last_index == before.last_index);
      CHECK(facts.value().last_term == before.terms.back().term);
      CHECK(facts.value().members.voters.size() == 3);
      CHECK(facts.value().last_append_ns > 0);
    }
    CHECK(storage.Recover().value().last_index == before.last_index);
  }

  TEST_CASE("the recovered node leads alone with all its entries, and admits the others once they are empty") {
    LostCluster of;
    Cluster& cluster = of.cluster;
    auto recovered = node::Recover(*cluster.At(2).storage, GroupId(1), kNow);
    REQUIRE(recovered.has_value());
    CHECK(recovered.value().identity.generation.counter == 2);
    of.RestartAs(2, false);
    Raft& raft = *cluster.At(2).raft;
    cluster.Until("node 2 to lead", [&] { return raft.IsLeader(); });
    REQUIRE(cluster.Handle(raft, "c").has_value());
    CHECK(cluster.At(2).machine->applied == std::vector<std::string>{"a", "b", "c"});
    CHECK(raft.Status().peers.size() == 1);
    for (uint64_t id : {1, 3}) {
      of.RestartAs(id, true);
      REQUIRE(Add(cluster, raft, id).has_value());
    }
    cluster.Until("node 3 to have it", [&] { return cluster.At(3).machine->applied.size() == 3; });
    // They have the new generation, also after a restart.
    for (uint64_t id : {1, 3}) {
      cluster.At(id).raft.reset();
      CHECK(node::LookAtLog(*cluster.At(id).storage).value().identity.generation ==
            recovered.value().identity.generation);
      of.RestartAs(id, false);
    }
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "d").has_value());
  }

  TEST_CASE("members of the old generation are refused by name, and cannot get the recovered one's log or vote") {
    LostCluster of;
    Cluster& cluster = of.cluster;
    REQUIRE(node::Recover(*cluster.At(2).storage, GroupId(1), kNow).has_value());
    of.RestartAs(2, false);
    Raft& raft = *cluster.At(2).raft;
    cluster.Until("node 2 to lead", [&] { return raft.IsLeader(); });
    const Term term = raft.Status().term;
    // Not lost after all: the two are a majority of the old generation, and continue as another cluster.
    for (uint64_t id : {1, 3}) of.RestartAs(id, false);
    cluster.Until("the old ones to elect a leader",
                  [&] { return cluster.At(1).raft->IsLeader() || cluster.At(3).raft->IsLeader(); });
    Raft& old_leader = cluster.At(1).raft->IsLeader() ? *cluster.At(1).raft : *cluster.At(3).raft;
    REQUIRE(cluster.Handle(old_leader, "old").has_value());
    REQUIRE(cluster.Handle(raft, "new").has_value());
    cluster.InTurn([&] {
      const Result<void> met = raft.node().peers().Verify(old_leader.node().peers().self());
      REQUIRE_FALSE(met.has_value());
      CHECK(met.error() == Errc::kOldGeneration);
      CHECK(met.error().message().find("has cluster generation 1, this node has 2") != std::string::npos);
      CHECK(AppendOf(raft, NodeId(1), old_leader.node().peers().self().generation) == Errc::kOldGeneration);
      const Result<void> back = old_leader.node().peers().Verify(raft.node().peers().self());
      REQUIRE_FALSE(back.has_value());
      CHECK(back.error().message().find("recovered from a lost quorum without this node") != std::string::npos);
    });
    CHECK(raft.IsLeader());
    CHECK(raft.Status().term == term);
    CHECK(cluster.At(2).machine->applied == std::vector<std::string>{"a", "b", "new"});
    // Nor can it be added with its directory.
    CHECK_FALSE(Add(cluster, raft, 1, HandleOptions().Timeout(1s)).has_value());
    CHECK(raft.Status().peers.size() == 1);
  }

  TEST_CASE("two recoveries of one cluster refuse each other") {
    LostCluster of;
    Cluster& cluster = of.cluster;
    std::vector<Generation> generations;
    for (uint64_t id : {1, 2}) {
      auto recovered = node::Recover(*cluster.At(id).storage, GroupId(1), kNow);
      REQUIRE(recovered.has_value());
      generations.push_back(recovered.value().identity.generation);
    }
    CHECK(generations[0].counter == generations[1].counter);
    for (uint64_t id : {1, 2}) {
      of.RestartAs(id, false);
      Raft& raft = *cluster.At(id).raft;
      cluster.Until("it to lead alone", [&] { return raft.IsLeader(); });
      REQUIRE(cluster.Handle(raft, "by " + std::to_string(id)).has_value());
      cluster.InTurn([&] { CHECK(raft.node().peers().self().generation == generations[id - 1]); });
    }
    Raft& first = *cluster.At(1).raft;
    Raft& second = *cluster.At(2).raft;
    // With its log, which ends in the same term, neither can become a member of the other cluster.
    CHECK_FALSE(Add(cluster, first, 2, HandleOptions().Timeout(1s)).has_value());
    CHECK(first.Status().peers.size() == 1);
    CHECK(cluster.At(2).machine->applied == std::vector<std::string>{"a", "b", "by 2"});
    cluster.InTurn([&] {
      for (auto [one, other] : {std::pair(&first, &second), std::pair(&second, &first)}) {
        const Result<void> met = one->node().peers().Verify(other->node().peers().self());
        REQUIRE_FALSE(met.has_value());
        CHECK(met.error() == Errc::kOldGeneration);
        CHECK(met.error().message().find("recovered from a lost quorum twice, on two nodes") != std::string::npos);
        CHECK(met.error().message().find("empty their data directories") != std::string::npos);
        CHECK(AppendOf(*one, other->Id(), other->node().peers().self().generation) == Errc::kOldGeneration);
      }
      // An older build presents none.
      CHECK(first.node().peers().CheckGeneration(NodeId(2), Generation{2, 0}).has_value());
      CHECK(first.node().peers().CheckGeneration(NodeId(2), Generation()).has_value());
    });
  }

  TEST_CASE("a node without a log adopts a generation only with entries that it accepts") {
    Cluster cluster(0);
    Raft& raft = *cluster.Add(1, {}).raft;
    cluster.InTurn([] {});  // it has started
    AppendEntriesArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.term = Term(2);
    args.leader_id = NodeId(2);
    args.generation = Generation{2, 22};
    const auto append = [&] {
      MaybeAppended result;
      cluster.InTurn([&] { AppendInto(raft.node().peer_service(), args, result); });
      cluster.Until("the answer to an append", [&] { return result.has_value(); });
      return std::move(*result);
    };
    const auto generation = [&] { return raft.node().peers().self().generation; };

    BatchBuilder builder;
    builder.Add(LogEntryType::kNoop, "");
    args.entries = {builder.Seal(Index(5), Term(2), NodeId(2), GroupId(1), 0)};
    args.prev_index = Index(4);
    args.prev_term = Term(2);
    CHECK_FALSE(append().value().success);  // it has nothing at index 4
    CHECK(generation() == Generation());
    args.prev_index = Index(3);
    CHECK(append().error() == Errc::kProtocol);
    CHECK(generation() == Generation());
    builder.Add(LogEntryType::kNoop, "");
    args.entries = {builder.Seal(Index(1), Term(1), NodeId(2), GroupId(1), 0)};
    args.prev_index = Index(0);
    args.prev_term = Term(0);
    args.term = Term(1);
    CHECK_FALSE(append().value().success);  // an older leader
    CHECK(generation() == Generation());
    CHECK(cluster.At(1).storage->Store().Get(node::kGenerationKey).value().empty());
    args.term = Term(2);
    CHECK(append().value().success);
    CHECK(generation() == Generation{2, 22});
    CHECK_FALSE(cluster.At(1).storage->Store().Get(node::kGenerationKey).value().empty());
  }

  TEST_CASE("a node without anything to recover is refused by name") {
    auto nothing = node::LookAtLog(*MakeMemoryStorage());
    REQUIRE_FALSE(nothing.has_value());
    CHECK(nothing.error().message().find("no log of a member") != std::string::npos);
    LostCluster of;
    Storage& storage = *of.cluster.At(1).storage;
    REQUIRE(node::Recover(storage, GroupId(1), kNow).has_value());
    auto again = node::Recover(storage, GroupId(1), kNow);
    REQUIRE_FALSE(again.has_value());
    CHECK(again.error().message().find("the only member already, in generation 2") != std::string::npos);
    REQUIRE(of.cluster.At(2).storage->Store().Set(node::kRefusedKey, "a copy").has_value());
    auto refused = node::LookAtLog(*of.cluster.At(2).storage);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kDuplicateNode);
  }
}
