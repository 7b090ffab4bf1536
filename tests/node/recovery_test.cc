// A lost quorum: one node goes on alone, by its own log, in a generation of its own.
#include "node/recovery.h"

#include "cluster.h"
#include "node/node.h"
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

Detached AddInto(Raft& raft, uint64_t id, HandleOptions options, MaybeDone& result) {
  ConfigChange change;
  change.AddVoter(PeerAt(id));
  auto call = raft.ChangeConfig(std::move(change), options);
  Result<void> got = co_await call;
  result = std::move(got);
}

Result<void> Add(Cluster& cluster, Raft& raft, uint64_t id, HandleOptions options = HandleOptions()) {
  MaybeDone result;
  cluster.InTurn([&] { AddInto(raft, id, options, result); });
  cluster.Until("the end of a change", [&] { return result.has_value(); });
  return std::move(*result);
}

using MaybeAppended = std::optional<Result<AppendEntriesResults>>;
Detached AppendInto(node::Service& service, AppendEntriesArgs args, MaybeAppended& result) {
  auto call = service.AppendEntries(std::move(args));
  Result<AppendEntriesResults> got = co_await call;
  result = std::move(got);
}

// Over a connection that was made before either knew.
Error AppendOf(Raft& raft, NodeId leader, const Generation& generation) {
  AppendEntriesArgs args;
  args.leader_id = leader;
  args.generation = generation;
  node::Service service(raft.node());
  MaybeAppended appended;
  AppendInto(service, std::move(args), appended);
  REQUIRE(appended.has_value());  // it is refused at once
  return *appended ? Error() : appended->error();
}

}  // namespace

TEST_SUITE("node/recovery") {
  TEST_CASE("a look at the log says whose it is and where it ends, and changes nothing") {
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

  TEST_CASE("the recovered node leads alone, has everything, and takes the others back once they are empty") {
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
    // They are of the new generation, which they remember.
    for (uint64_t id : {1, 3}) {
      cluster.At(id).raft.reset();
      CHECK(node::LookAtLog(*cluster.At(id).storage).value().identity.generation ==
            recovered.value().identity.generation);
      of.RestartAs(id, false);
    }
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "d").has_value());
  }

  TEST_CASE("members of the old generation are refused by name, and cannot have the recovered one's log or vote") {
    LostCluster of;
    Cluster& cluster = of.cluster;
    REQUIRE(node::Recover(*cluster.At(2).storage, GroupId(1), kNow).has_value());
    of.RestartAs(2, false);
    Raft& raft = *cluster.At(2).raft;
    cluster.Until("node 2 to lead", [&] { return raft.IsLeader(); });
    const Term term = raft.Status().term;
    // Not lost after all: the two are a majority of the old generation, and go on as another cluster.
    for (uint64_t id : {1, 3}) of.RestartAs(id, false);
    cluster.Until("the old ones to elect a leader",
                  [&] { return cluster.At(1).raft->IsLeader() || cluster.At(3).raft->IsLeader(); });
    Raft& old_leader = cluster.At(1).raft->IsLeader() ? *cluster.At(1).raft : *cluster.At(3).raft;
    REQUIRE(cluster.Handle(old_leader, "old").has_value());
    REQUIRE(cluster.Handle(raft, "new").has_value());
    cluster.InTurn([&] {
      const Result<void> met = raft.node().MeetPeer(old_leader.node().identity());
      REQUIRE_FALSE(met.has_value());
      CHECK(met.error() == Errc::kOldGeneration);
      CHECK(met.error().message().find("is of generation 1 of the cluster, this node of 2") != std::string::npos);
      CHECK(AppendOf(raft, NodeId(1), old_leader.node().identity().generation) == Errc::kOldGeneration);
      const Result<void> back = old_leader.node().MeetPeer(raft.node().identity());
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
      cluster.InTurn([&] { CHECK(raft.node().identity().generation == generations[id - 1]); });
    }
    Raft& first = *cluster.At(1).raft;
    Raft& second = *cluster.At(2).raft;
    // With the other log, that ends in the same term, the one cannot become a member of the other.
    CHECK_FALSE(Add(cluster, first, 2, HandleOptions().Timeout(1s)).has_value());
    CHECK(first.Status().peers.size() == 1);
    CHECK(cluster.At(2).machine->applied == std::vector<std::string>{"a", "b", "by 2"});
    cluster.InTurn([&] {
      for (auto [one, other] : {std::pair(&first, &second), std::pair(&second, &first)}) {
        const Result<void> met = one->node().MeetPeer(other->node().identity());
        REQUIRE_FALSE(met.has_value());
        CHECK(met.error() == Errc::kOldGeneration);
        CHECK(met.error().message().find("recovered from a lost quorum twice, on two nodes") != std::string::npos);
        CHECK(met.error().message().find("empty their data directories") != std::string::npos);
        CHECK(AppendOf(*one, other->Id(), other->node().identity().generation) == Errc::kOldGeneration);
      }
      // Of an older build nobody knows.
      CHECK(first.node().CheckGeneration(NodeId(2), Generation{2, 0}).has_value());
      CHECK(first.node().CheckGeneration(NodeId(2), Generation()).has_value());
    });
  }

  TEST_CASE("who has no log takes a generation over only with entries that it accepts") {
    Cluster cluster(0);
    Raft& raft = *cluster.Add(1, {}).raft;
    cluster.InTurn([] {});  // it has started
    node::Service service(raft.node());
    AppendEntriesArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.term = Term(2);
    args.leader_id = NodeId(2);
    args.generation = Generation{2, 22};
    const auto append = [&] {
      MaybeAppended result;
      cluster.InTurn([&] { AppendInto(service, args, result); });
      cluster.Until("the answer to an append", [&] { return result.has_value(); });
      return std::move(*result);
    };
    const auto generation = [&] { return raft.node().identity().generation; };

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

  TEST_CASE("who has nothing to recover is told so") {
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
