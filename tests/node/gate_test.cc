// What leaves a node, and when: nothing that depends on the disk leaves before the disk has it. The test plays the
// peers.
#include "fake_peer.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

ForwardArgs ForwardOf(Duration timeout) {
  ForwardArgs args;
  args.group = GroupId(1);
  args.to = NodeId(1);
  args.timeout = timeout;
  for (const char* command : {"f1", "f2"}) {
    ForwardCall call;
    call.commands.emplace_back(command);
    args.calls.push_back(std::move(call));
  }
  return args;
}

// Holds the application of "held" until it is released.
class HoldingMachine final : public AsyncStateMachine {
 public:
  explicit HoldingMachine(Reactor& reactor) : released(reactor.host().loop()) {}
  Task<Result<size_t>> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    is_holding = entries[0].command == "held";
    while (is_holding) {
      auto woken = released.Wait();
      co_await woken;
    }
    for (const LogEntry& entry : entries) results.Add(entry.command);
    co_return entries.size();
  }
  coro::Signal released;
  bool is_holding = false;
};

// Releases the machine some passes of the loop later.
Detached ReleaseAfter(coro::Loop& loop, int passes, HoldingMachine& machine) {
  for (; passes > 0; --passes) {
    auto later = loop.Yield();
    co_await later;
  }
  machine.is_holding = false;
  machine.released.Notify();
}

}  // namespace

TEST_SUITE("node/gate") {
  TEST_CASE(
      "no append reply leaves before the disk has the entries, while heartbeats are answered and name no match beyond "
      "it") {
    OneReal real(30s);
    REQUIRE(real.Append(real.From(2, Term(2), Index(1), Term(1))).has_value());  // the term is on disk
    Reply<AppendEntriesResults> reply, again;
    {
      ShutGate gate(*real.disk);
      AppendEntriesArgs args = real.From(2, Term(2), Index(1), Term(1));
      args.entries.push_back(BatchAt(Index(2), Term(2), "x"));
      real.cluster.InTurn([&] { AskAppend(real.two, args, reply); });
      real.cluster.Until("the write", [&] { return real.disk->IsHolding(); });
      // The same append again: an entry that is in memory is not on disk yet.
      real.cluster.InTurn([&] { AskAppend(real.two, args, again); });
      for (int i = 0; i < 20; ++i) {
        Result<AppendEntriesResults> beat = real.Append(real.From(2, Term(2), Index(1), Term(1)));
        REQUIRE(beat.has_value());
        CHECK(beat.value().success);
        CHECK(beat.value().durable_match <= Index(1));
        // A heartbeat at the entry in memory must not name it either.
        Result<AppendEntriesResults> ahead = real.Append(real.From(2, Term(2), Index(2), Term(2)));
        REQUIRE(ahead.has_value());
        if (ahead.value().success) CHECK(ahead.value().durable_match <= Index(1));
      }
      CHECK(!reply.has_value());
      CHECK(!again.has_value());
      CHECK(real.cluster.nodes[0].raft->Status().durable_index == Index(1));
    }
    real.cluster.Until("the replies", [&] { return reply.has_value() && again.has_value(); });
    REQUIRE(reply->has_value());
    CHECK(reply->value().success);
    CHECK(reply->value().durable_match == Index(2));
    REQUIRE(again->has_value());
    CHECK(again->value().durable_match == Index(2));
  }

  TEST_CASE("A1: no vote reply leaves before term and vote are on disk") {
    OneReal real(30s);
    Reply<RequestVoteResults> granted, refused;
    RequestVoteArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.term = Term(5);
    args.candidate_id = NodeId(2);
    args.last_index = Index(1);
    args.last_term = Term(1);
    real.cluster.Turns(3);
    {
      ShutGate gate(*real.disk);
      real.cluster.InTurn([&] { AskVote(real.two, args, granted); });
      real.cluster.Until("the write", [&] { return real.disk->IsHolding(); });
      args.candidate_id = NodeId(3);
      real.cluster.InTurn([&] { AskVote(real.three, args, refused); });
      real.cluster.Turns(30);
      CHECK(!granted.has_value());
    }
    real.cluster.Until("the replies", [&] { return granted.has_value() && refused.has_value(); });
    REQUIRE(granted->has_value());
    CHECK(granted->value().vote_granted);
    CHECK(granted->value().term == Term(5));
    REQUIRE(refused->has_value());
    CHECK(!refused->value().vote_granted);
    CHECK(real.disk->Recover().value().hard_state == HardState{Term(5), NodeId(2)});
  }

  TEST_CASE("no vote is requested before the candidate's own vote is on disk; pre-votes need no disk") {
    OneReal real(100ms);
    ShutGate gate(*real.disk);
    real.two.grants = real.three.grants = true;
    real.cluster.Until("the write", [&] { return real.disk->IsHolding(); });
    CHECK(real.two.pre_votes + real.three.pre_votes > 0);
    real.cluster.Turns(30);
    CHECK(real.two.votes + real.three.votes == 0);
    CHECK(!real.cluster.nodes[0].raft->IsLeader());
    real.disk->Open();
    real.cluster.Until("the election", [&] { return real.cluster.nodes[0].raft->IsLeader(); });
    CHECK(real.two.votes + real.three.votes > 0);
  }

  TEST_CASE("a call ends with kUnknown if the append that deposed its leader has overwritten its entry") {
    RealLeader real;
    real.two.acknowledges = real.three.acknowledges = false;
    RaftStatus before = real.raft->Status();
    std::optional<Result<Bytes>> answer;
    real.cluster.InTurn([&] { Cluster::HandleInto(*real.raft, "mine", HandleOptions(), answer); });
    real.cluster.Until("the entry", [&] { return real.raft->Status().last_index == before.last_index + 1; });
    // One message: a newer term, another entry at the same index, and a commit index that covers it.
    AppendEntriesArgs args = real.From(2, before.term + 1, before.last_index, before.term);
    args.entries.push_back(BatchAt(before.last_index + 1, before.term + 1, "theirs"));
    args.leader_commit = before.last_index + 1;
    REQUIRE(real.Append(args).has_value());
    real.cluster.Until("the caller's answer", [&] { return answer.has_value(); });
    REQUIRE(!answer->has_value());
    CHECK(answer->error().code() == Errc::kUnknown);
    real.two.Acknowledge();
    real.three.Acknowledge();
  }

  TEST_CASE("a caller never gets the result of the entry that took the place of its own, whenever that is applied") {
    // The next entries to apply are taken from the log when the machine returns: also in the turn in which the leader
    // is deposed, before its calls end.
    for (int passes = 0; passes <= 12; ++passes) {
      CAPTURE(passes);
      std::optional<HoldingMachine> machine;
      RealLeader real(
          [&](Reactor& reactor, const Options& options) { return Raft::Create(options, machine.emplace(reactor)); });
      std::optional<Result<Bytes>> held, mine;
      real.cluster.InTurn([&] { Cluster::HandleInto(*real.raft, "held", HandleOptions(), held); });
      real.cluster.Until("the machine", [&] { return machine->is_holding; });
      real.two.acknowledges = real.three.acknowledges = false;
      RaftStatus before = real.raft->Status();
      real.cluster.InTurn([&] { Cluster::HandleInto(*real.raft, "mine", HandleOptions(), mine); });
      real.cluster.Until("the entry", [&] { return real.raft->Status().last_index == before.last_index + 1; });
      AppendEntriesArgs args = real.From(2, before.term + 1, before.last_index, before.term);
      args.entries.push_back(BatchAt(before.last_index + 1, before.term + 1, "theirs"));
      args.leader_commit = before.last_index + 1;
      Reply<AppendEntriesResults> reply;
      real.cluster.InTurn([&] {
        AskAppend(real.two, args, reply);
        ReleaseAfter(real.cluster.reactor->host().loop(), passes, *machine);
      });
      real.cluster.Until("the answers", [&] { return held && mine && reply; });
      REQUIRE(held->has_value());
      CHECK(held->value().view() == "held");
      REQUIRE(!mine->has_value());
      CHECK(mine->error().code() == Errc::kUnknown);
      real.two.Acknowledge();
      real.three.Acknowledge();
      real.cluster.nodes[0].raft.reset();
    }
  }

  TEST_CASE("a peer that has lost what it had acknowledged is retried slowly, and the others continue") {
    RealLeader real;
    REQUIRE(real.cluster.Handle(*real.raft, "x").has_value());
    real.cluster.Until("both to have it", [&] {
      for (const PeerStatus& peer : real.raft->Status().peers)
        if (peer.match_index != real.raft->Status().last_index) return false;
      return true;
    });
    real.two.has_lost_all = true;
    REQUIRE(real.cluster.Handle(*real.raft, "y").has_value());
    const int heartbeats = real.three.heartbeats, before = real.two.appends + real.two.heartbeats;
    real.cluster.Until("some heartbeats", [&] { return real.three.heartbeats >= heartbeats + 10; });
    // A few for each heartbeat, not as many as possible.
    CHECK(real.two.appends + real.two.heartbeats - before < 100);
    REQUIRE(real.cluster.Handle(*real.raft, "z").has_value());
  }

  TEST_CASE("a leader acknowledges with its own disk held once two followers have the entry on theirs") {
    RealLeader real;
    ShutGate gate(*real.disk);
    Result<Bytes> result = real.cluster.Handle(*real.raft, "x");
    REQUIRE(result.has_value());
    CHECK(result.value().view() == "1:x");
    CHECK(real.raft->Status().durable_index < real.raft->Status().last_index);
    real.cluster.Until("its own write", [&] { return real.disk->IsHolding(); });
  }

  TEST_CASE(
      "a leader does not acknowledge what only it has on disk, nor what it and one follower have only in memory") {
    RealLeader real;
    real.two.acknowledges = real.three.acknowledges = false;
    MaybeResult result;
    Owned caller = CallOne(*real.raft, "x", HandleOptions(), result);
    real.cluster.Until("it to be on its own disk, and heartbeats to be answered", [&] {
      RaftStatus status = real.raft->Status();
      int before = real.two.heartbeats;
      if (status.durable_index != status.last_index || status.last_index < Index(3)) return false;
      real.cluster.Until("a heartbeat", [&] { return real.two.heartbeats > before + 3; });
      return true;
    });
    CHECK(!result.has_value());
    {
      // One follower has it, the leader's disk is held: one durable copy of three is not a majority.
      real.disk->Shut();
      MaybeResult second;
      Owned other = CallOne(*real.raft, "y", HandleOptions(), second);
      real.cluster.Until("the write", [&] { return real.disk->IsHolding(); });
      real.two.Acknowledge();
      real.cluster.Until("the first, which the leader has on disk", [&] { return result.has_value(); });
      CHECK(result->has_value());
      real.cluster.Turns(20);
      CHECK(!second.has_value());
      real.disk->Open();
      real.cluster.Until("the second", [&] { return second.has_value(); });
      CHECK(second->has_value());
    }
  }

  TEST_CASE("forwarded calls end with their own results, and a peer's timeout cannot overflow the clock") {
    RealLeader real;
    for (Duration timeout : {Duration::max(), Duration(30s)}) {
      Reply<ForwardResults> reply;
      real.cluster.InTurn([&] { AskForward(real.two, ForwardOf(timeout), reply); });
      real.cluster.Until("the reply", [&] { return reply.has_value(); });
      REQUIRE(reply->has_value());
      REQUIRE(reply->value().outcomes.size() == 2);
      for (ForwardOutcome& outcome : reply->value().outcomes) CHECK(outcome.error == Errc::kOk);
      CHECK(reply->value().outcomes[1].results.front().view().ends_with(":f2"));
    }
    // Followers that hang: a call forwarded with little time left ends with kUnknown.
    real.two.acknowledges = real.three.acknowledges = false;
    for (Duration timeout : {Duration::min(), Duration(0), Duration(20ms)}) {
      Reply<ForwardResults> reply;
      real.cluster.InTurn([&] { AskForward(real.two, ForwardOf(timeout), reply); });
      real.cluster.Until("the reply", [&] { return reply.has_value(); });
      REQUIRE(reply->has_value());
      for (ForwardOutcome& outcome : reply->value().outcomes) CHECK(outcome.error == Errc::kUnknown);
    }
  }
}
