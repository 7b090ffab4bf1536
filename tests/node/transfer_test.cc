// Transfers of the leadership, by a call and by the stop of a leader.
#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

Detached TransferInto(Raft& raft, NodeId to, HandleOptions options, MaybeDone& result) {
  auto call = raft.TransferLeadership(to, options);
  Result<void> got = co_await call;
  result = std::move(got);
}

Result<void> Transfer(Cluster& cluster, Raft& raft, uint64_t to, HandleOptions options = HandleOptions()) {
  MaybeDone result;
  cluster.InTurn([&] { TransferInto(raft, NodeId(to), options, result); });
  cluster.Until("the end of a transfer", [&] { return result.has_value(); });
  return std::move(*result);
}

uint64_t OtherThan(uint64_t id) { return id % 3 + 1; }

}  // namespace

TEST_SUITE("node/transfer") {
  TEST_CASE("the named node leads the next term when the call succeeds, and the log continues") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    const uint64_t to = OtherThan(leader.options.id.value());
    const Term before = leader.raft->Status().term;
    REQUIRE(Transfer(cluster, *leader.raft, to).has_value());
    CHECK(!leader.raft->IsLeader());
    CHECK(leader.raft->Status().leader->id == NodeId(to));
    CHECK(leader.raft->Status().term == before + 1);
    REQUIRE(cluster.Handle(*cluster.At(to).raft, "b").has_value());
    CHECK(cluster.At(to).machine->applied == std::vector<std::string>{"a", "b"});
  }

  TEST_CASE("without a name the best node takes over; without any reply none can") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    REQUIRE(Transfer(cluster, *leader.raft, 0).has_value());
    CHECK(!leader.raft->IsLeader());
    Cluster one(1);
    Result<void> alone = Transfer(one, *one.WaitForLeader().raft, 0);
    REQUIRE(!alone.has_value());
    CHECK(alone.error() == Errc::kTransferFailed);
    CHECK(alone.error().message().find("no reachable voting member") != std::string::npos);
  }

  TEST_CASE("a node that does not lead, and one that cannot take over, are refused by name") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    const uint64_t self = leader.options.id.value();
    for (uint64_t to : {self, uint64_t{9}}) {
      Result<void> refused = Transfer(cluster, *leader.raft, to);
      REQUIRE(!refused.has_value());
      CHECK(refused.error() == Errc::kInvalidArgument);
      CHECK(refused.error().message().find("node " + std::to_string(to)) != std::string::npos);
    }
    cluster.Until("a follower that knows it",
                  [&] { return cluster.At(OtherThan(self)).raft->Status().leader.has_value(); });
    Result<void> refused = Transfer(cluster, *cluster.At(OtherThan(self)).raft, self);
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == Errc::kNotLeader);
    CHECK(refused.error().leader()->id == NodeId(self));
    CHECK(leader.raft->IsLeader());
  }

  TEST_CASE("a node that cannot be reached does not take over: calls wait, and the leader then continues with them") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    const uint64_t to = OtherThan(leader.options.id.value());
    cluster.network.Cut(cluster.At(to).options.addr);
    MaybeDone result;
    std::optional<Result<Bytes>> answer;
    cluster.InTurn([&] { TransferInto(*leader.raft, NodeId(to), HandleOptions(), result); });
    cluster.Turns(3);
    cluster.InTurn([&] { Cluster::HandleInto(*leader.raft, "x", HandleOptions(), answer); });
    cluster.Turns(5);
    CHECK(!answer.has_value());
    MaybeDone second;
    cluster.InTurn([&] { TransferInto(*leader.raft, NodeId(OtherThan(to)), HandleOptions(), second); });
    cluster.Until("the answers", [&] { return result && answer && second; });
    REQUIRE(!result->has_value());
    CHECK(result->error() == Errc::kTransferFailed);
    CHECK(result->error().message().find("node " + std::to_string(to)) != std::string::npos);
    REQUIRE(!second->has_value());
    CHECK(second->error() == Errc::kTransferInProgress);
    CHECK(answer->has_value());
    CHECK(leader.raft->IsLeader());
  }

  TEST_CASE("a deadline ends a transfer early") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    const uint64_t to = OtherThan(leader.options.id.value());
    cluster.network.Cut(cluster.At(to).options.addr);
    const TimePoint begun = Clock::now();
    Result<void> result = Transfer(cluster, *leader.raft, to, HandleOptions().Timeout(20ms));
    REQUIRE(!result.has_value());
    const bool is_expected = result.error() == Errc::kTransferFailed || result.error() == Errc::kUnknown;
    CHECK(is_expected);
    CHECK(Clock::now() - begun >= 20ms);
    CHECK(cluster.Handle(*leader.raft, "x").has_value());
    CHECK(leader.raft->IsLeader());
  }

  TEST_CASE("a transfer without a deadline also ends at a node that is cut off and learns of no leader") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    MaybeDone result;
    cluster.network.Cut(leader.options.addr);
    const TimePoint begun = Clock::now();
    const NodeId to(OtherThan(leader.options.id.value()));
    cluster.InTurn([&] { TransferInto(*leader.raft, to, HandleOptions(), result); });
    cluster.Until("the end of the transfer", [&] { return result.has_value(); });
    REQUIRE(!result->has_value());
    CHECK(result->error() == Errc::kUnknown);
    CHECK(Clock::now() - begun >= 4 * leader.options.election_timeout_max);
    CHECK(!leader.raft->IsLeader());
    cluster.network.Heal(leader.options.addr);
    CHECK(cluster.Handle(*cluster.WaitForLeader().raft, "x").has_value());
  }

  TEST_CASE("calls that wait during a transfer are refused or forwarded, never lost") {
    Cluster cluster(3);
    for (int round = 0; round < 20; ++round) {
      CAPTURE(round);
      Cluster::Node& leader = cluster.WaitForLeader();
      MaybeDone result;
      std::optional<Result<Bytes>> plain, forwarded;
      cluster.InTurn([&] {
        TransferInto(*leader.raft, NodeId(0), HandleOptions(), result);
        Cluster::HandleInto(*leader.raft, "plain " + std::to_string(round), HandleOptions(), plain);
        Cluster::HandleInto(*leader.raft, "forwarded " + std::to_string(round), HandleOptions().Forward(), forwarded);
      });
      cluster.Until("the answers", [&] { return result && plain && forwarded; });
      REQUIRE(forwarded->has_value());
      if (!plain->has_value()) CHECK(plain->error() == Errc::kNotLeader);
      Cluster::Node& next = cluster.WaitForLeader();
      REQUIRE(cluster.Handle(*next.raft, "last").has_value());  // it has applied all entries before
      const std::vector<std::string>& applied = next.machine->applied;
      auto times = [&](const std::string& text) { return std::count(applied.begin(), applied.end(), text); };
      CHECK(times("forwarded " + std::to_string(round)) == 1);
      CHECK(times("plain " + std::to_string(round)) == (plain->has_value() ? 1 : 0));
    }
  }

  TEST_CASE("a leader that stops transfers its leadership first, and has stopped once another one leads") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    const Term before = leader.raft->Status().term;
    leader.raft->Stop();
    CHECK(CodeOf(cluster.Handle(*leader.raft, "b")) == Errc::kStopped);
    cluster.Until("the stop", [&] { return leader.raft->Status().is_stopped; });
    Cluster::Node& next = *cluster.Leader();
    CHECK(next.raft->Status().term == before + 1);
    CHECK(cluster.Handle(*next.raft, "c").has_value());
  }

  TEST_CASE("a leader without reachable peers stops all the same, and a destructor waits for no transfer") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    for (Cluster::Node& node : cluster.nodes)
      if (&node != &leader) cluster.network.Cut(node.options.addr);
    SUBCASE("it is stopped") {
      leader.raft->Stop();
      cluster.Until("the stop", [&] { return leader.raft->Status().is_stopped; });
    }
    SUBCASE("it is stopped, and destroyed meanwhile") {
      leader.raft->Stop();
      cluster.Turns(2);
      CHECK(!leader.raft->Status().is_stopped);
      const TimePoint begun = Clock::now();
      leader.raft.reset();
      CHECK(Clock::now() - begun < leader.options.election_timeout_max);
    }
    SUBCASE("it is destroyed at once") { leader.raft.reset(); }
  }
}
