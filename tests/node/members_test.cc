// Configuration changes from the side of their callers: new voters that catch up, learners, and aborted changes.
#include <algorithm>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

Owned ChangeInto(Raft& raft, ConfigChange change, HandleOptions options, MaybeDone& result) {
  auto call = raft.ChangeConfig(std::move(change), std::move(options));
  Result<void> got = co_await call;
  result = std::move(got);
}

Owned AbortInto(Raft& raft, MaybeDone& result) {
  auto call = raft.AbortConfigChange();
  Result<void> got = co_await call;
  result = std::move(got);
}

Result<void> Abort(Cluster& cluster, Raft& raft) {
  MaybeDone result;
  Owned caller = AbortInto(raft, result);
  cluster.Until("the end of an abort", [&] { return result.has_value(); });
  return std::move(*result);
}

bool IsCatchingUp(const Raft& raft) {
  const RaftStatus status = raft.Status();
  return std::any_of(status.peers.begin(), status.peers.end(), [](const PeerStatus& p) { return p.is_catching_up; });
}

// A leader alone, with a pending call that adds node 2, which does not run.
struct CatchingUp {
  explicit CatchingUp(HandleOptions options = HandleOptions())
      : cluster(0, Setup{[](Options& o) { o.bootstrap_as_leader = o.id == NodeId(1); }, {}}) {
    cluster.Add(1, {});
    leader = cluster.WaitForLeader().raft.get();
    REQUIRE(cluster.Handle(*leader, "a").has_value());
    caller.emplace(ChangeInto(*leader, ConfigChange().AddVoter(PeerAt(2)), std::move(options), result));
    cluster.Until("the change to begin", [&] { return IsCatchingUp(*leader); });
  }
  Errc Outcome() {
    cluster.Until("the end of the change", [&] { return result.has_value(); });
    cluster.Until("the leader to drop it", [&] { return !IsCatchingUp(*leader); });
    CHECK(leader->Status().peers.size() == 1);
    CHECK_FALSE(leader->Status().is_joint);
    REQUIRE(cluster.Handle(*leader, "b").has_value());  // it commits alone
    return CodeOf(*result);
  }

  Cluster cluster;
  Raft* leader = nullptr;
  MaybeDone result;
  std::optional<Owned> caller;
};

}  // namespace

TEST_SUITE("node/members") {
  TEST_CASE("a new voter that does not run costs the cluster nothing, and its change is aborted") {
    CatchingUp change;
    REQUIRE(change.cluster.Handle(*change.leader, "meanwhile").has_value());
    CHECK(change.Outcome() == Errc::kTooSlowToCatchUp);
    CHECK(change.result->error().message().find("has not replied for") != std::string::npos);
  }

  TEST_CASE("a change waits for a new voter that starts late, which gets the log and then votes") {
    CatchingUp change;
    change.cluster.Add(2, {});
    change.cluster.Until("the end of the change", [&] { return change.result.has_value(); });
    REQUIRE_MESSAGE(change.result->has_value(), change.result->error().message());
    CHECK(change.leader->Status().peers.size() == 2);
    CHECK(change.leader->Status().peers[1].kind == MemberKind::kVoter);
    change.cluster.Until("its log", [&] { return change.cluster.At(2).machine->applied.size() == 1; });
  }

  TEST_CASE("a change is aborted by its name, its deadline, its stop request, and the end of its caller") {
    SUBCASE("by its name") {
      CatchingUp change;
      CHECK(Abort(change.cluster, *change.leader).has_value());
      CHECK(change.Outcome() == Errc::kChangeAborted);
      CHECK(Abort(change.cluster, *change.leader).has_value());  // there is none now
    }
    SUBCASE("by its deadline") {
      CatchingUp change(HandleOptions().Timeout(100ms));
      CHECK(change.Outcome() == Errc::kTooSlowToCatchUp);
      CHECK(change.result->error().message().find("deadline") != std::string::npos);
    }
    SUBCASE("by its stop request") {
      std::stop_source stop;
      CatchingUp change(HandleOptions().StopOn(stop.get_token()));
      stop.request_stop();
      CHECK(change.Outcome() == Errc::kChangeAborted);
    }
    SUBCASE("by the end of its caller") {
      CatchingUp change;
      change.caller.reset();
      REQUIRE(change.cluster.Handle(*change.leader, "next turn").has_value());
      CHECK_FALSE(IsCatchingUp(*change.leader));
    }
    SUBCASE("by the stop of the node") {
      CatchingUp change;
      change.leader->Stop();
      change.cluster.Until("the end of the change", [&] { return change.result.has_value(); });
      CHECK(CodeOf(*change.result) == Errc::kStopped);
    }
  }

  TEST_CASE("only the leader aborts, and only what is not in the log") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    const uint64_t other = leader.options.id.value() % 3 + 1;
    CHECK(CodeOf(Abort(cluster, *cluster.At(other).raft)) == Errc::kNotLeader);
    for (auto& node : cluster.nodes)
      if (&node != &leader) cluster.network.Cut(node.options.addr);
    MaybeDone removed;
    Owned caller = ChangeInto(*leader.raft, ConfigChange().Remove(NodeId(other)), HandleOptions(), removed);
    cluster.Until("the joint configuration", [&] { return leader.raft->Status().is_joint; });
    CHECK(CodeOf(Abort(cluster, *leader.raft)) == Errc::kConfigInProgress);
  }

  TEST_CASE("a learner gets all entries, may be promoted, moved and demoted, and keeps its data") {
    Cluster cluster(0, Setup{[](Options& options) { options.bootstrap_as_leader = options.id == NodeId(1); }, {}});
    cluster.Add(1, {});
    cluster.Add(2, {});
    Raft& leader = *cluster.WaitForLeader().raft;
    REQUIRE(cluster.Handle(leader, "a").has_value());
    const Index founded = leader.Status().configuration_index;
    ConfigChange add;
    add.AddLearner(PeerAt(2)).SetData(NodeId(2), "zone b");
    REQUIRE(cluster.ChangeConfig(leader, add).has_value());
    cluster.Until("its log", [&] { return cluster.At(2).machine->applied.size() == 1; });
    CHECK(leader.Status().peers[1].kind == MemberKind::kLearner);
    CHECK(leader.Status().peers[1].data == "zone b");

    ConfigChange late;
    late.Promote(NodeId(2)).BasedOn(founded);
    CHECK(CodeOf(cluster.ChangeConfig(leader, late)) == Errc::kConfigChanged);
    ConfigChange promote;
    promote.Promote(NodeId(2)).BasedOn(leader.Status().configuration_index);
    REQUIRE(cluster.ChangeConfig(leader, promote).has_value());
    CHECK(leader.Status().peers[1].kind == MemberKind::kVoter);

    // The leader demotes itself: the other one becomes leader, and this one still gets all entries.
    ConfigChange demote;
    demote.Demote(NodeId(1));
    REQUIRE(cluster.ChangeConfig(leader, demote).has_value());
    cluster.Until("the other one to lead", [&] { return cluster.At(2).raft->IsLeader(); });
    REQUIRE(cluster.Handle(*cluster.At(2).raft, "b").has_value());
    cluster.Until("its log", [&] { return cluster.At(1).machine->applied.size() == 2; });
    CHECK(cluster.At(2).raft->Status().peers[0].kind == MemberKind::kLearner);
    CHECK(cluster.At(2).raft->Status().peers[1].data == "zone b");
  }

  TEST_CASE("D10: a new leader, and one after a change of its members, sends no entries that all peers have") {
    Cluster cluster(3);
    Cluster::Node& first = cluster.WaitForLeader();
    for (int i = 0; i < 50; ++i) REQUIRE(cluster.Handle(*first.raft, "a").has_value());
    for (uint64_t id = 1; id <= 3; ++id)
      cluster.Until("their logs", [&] { return cluster.At(id).machine->applied.size() == 50; });
    const uint64_t before = cluster.network.batches_sent();
    first.raft->Stop();  // and transfers the leadership
    cluster.Until("the stop", [&] { return first.raft->Status().is_stopped; });
    Cluster::Node& second = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*second.raft, "b").has_value());
    ConfigChange change;
    change.SetData(second.options.id, "zone a");
    REQUIRE(cluster.ChangeConfig(*second.raft, change).has_value());
    CHECK(cluster.network.batches_sent() - before < 25);  // a few entries, to the peers that lack them, perhaps twice
  }

  TEST_CASE("a member that has moved is reached at its new address") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    Cluster::Node& moved = cluster.At(leader.options.id.value() % 3 + 1);
    moved.raft.reset();
    moved.options.addr = PeerAt(9).addr;
    moved.options.initial_members.clear();  // they are in its log
    cluster.Restart(moved);
    ConfigChange change;
    change.SetAddr(moved.options.id, moved.options.addr);
    REQUIRE(cluster.ChangeConfig(*leader.raft, change).has_value());
    REQUIRE(cluster.Handle(*leader.raft, "b").has_value());
    cluster.Until("its log", [&] { return moved.machine->applied.size() == 2; });
  }
}
