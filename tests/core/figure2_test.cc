// The rules of the paper's Figure 2, one test per rule.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("figure 2: AppendEntries, receiver") {
  TEST_CASE("A15: rule 1: a leader of an older term is refused and learns the newer one") {
    Server server({.terms = {1}, .term = 5});
    AppendEntriesResults results = server.Append(server.AppendArgs(2, 4, 1, 1));
    CHECK_FALSE(results.success);
    CHECK(results.term == Term(5));
    CHECK(server->leader() == NodeId(0));
  }

  TEST_CASE("rule 2: an append with a previous entry that does not match is refused") {
    Server server({.terms = {1, 1, 2}});
    CHECK_FALSE(server.Append(server.AppendArgs(2, 3, 4, 2)).success);  // no such entry
    CHECK_FALSE(server.Append(server.AppendArgs(2, 3, 3, 3)).success);  // another term
    CHECK(server.Append(server.AppendArgs(2, 3, 3, 2)).success);
  }

  TEST_CASE("rule 3: a conflicting entry is deleted with all that follow it") {
    Server server({.terms = {1, 1, 2, 2, 2}});
    CHECK(server.Append(server.AppendArgs(2, 3, 2, 1, {Commands(3, 3, 1, 2)})).success);
    CHECK(server.Terms() == std::vector<uint64_t>{1, 1, 3});
    CHECK(server.disk.history().last_index() == Index(3));
  }

  TEST_CASE("B16: rule 3: without a conflict nothing is deleted, however old or short the append is") {
    Server server({.terms = {1, 1, 2, 2, 2}});
    CHECK(server.Append(server.AppendArgs(2, 3, 1, 1, {Commands(2, 1, 1, 9)})).success);
    CHECK(server.Append(server.AppendArgs(2, 3, 2, 1)).success);
    CHECK(server.Append(server.AppendArgs(2, 3, 0, 0)).success);
    CHECK(server->last_index() == Index(5));
    CHECK_FALSE(server->HasWrite());
  }

  TEST_CASE("rule 4: entries that are not yet in the log are appended") {
    Server server({.terms = {1, 1}});
    AppendEntriesResults results =
        server.Append(server.AppendArgs(2, 3, 1, 1, {Commands(2, 1, 1, 9), Commands(3, 3, 4, 2)}));
    CHECK(results.success);
    CHECK(results.durable_match == Index(6));
    CHECK(server.Terms() == std::vector<uint64_t>{1, 1, 3, 3, 3, 3});
    CHECK(server.disk.history().last_index() == Index(6));
  }

  TEST_CASE("B3: rule 5: the commit index follows the leader's, and never goes back") {
    Server server({.terms = {1, 1, 1}});
    server.Append(server.AppendArgs(2, 2, 3, 1, {}, 2));
    CHECK(server->commit_index() == Index(2));
    server.Append(server.AppendArgs(2, 2, 3, 1, {}, 1));
    CHECK(server->commit_index() == Index(2));
  }

  TEST_CASE("B2: rule 5: the commit index never exceeds the last entry that this append has verified") {
    Server server({.terms = {1, 1, 2, 2}});  // entries 3 and 4 are not the leader's
    server.Append(server.AppendArgs(2, 3, 2, 1, {}, 4));
    CHECK(server->commit_index() == Index(2));
    server.Append(server.AppendArgs(2, 3, 2, 1, {Commands(3, 3, 1, 2)}, 9));
    CHECK(server->commit_index() == Index(3));
  }
}

TEST_SUITE("figure 2: RequestVote, receiver") {
  TEST_CASE("rule 1: a candidate of an older term gets no vote and learns the newer one") {
    Server server({.term = 5});
    RequestVoteResults results = server.Vote(server.VoteArgs(2, 4, 9, 4));
    CHECK_FALSE(results.vote_granted);
    CHECK(results.term == Term(5));
  }

  TEST_CASE("rule 2: one vote per term, repeated only for the same candidate") {
    Server server;
    CHECK(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK_FALSE(server.Vote(server.VoteArgs(3, 5, 1, 1)).vote_granted);
    CHECK(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK(server.Vote(server.VoteArgs(3, 6, 1, 1)).vote_granted);
  }

  TEST_CASE("A1: rule 2: one vote per term, even after a restart") {
    Server server;
    CHECK(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
    server.Restart();
    CHECK(server->term() == Term(5));
    CHECK_FALSE(server.Vote(server.VoteArgs(3, 5, 1, 1)).vote_granted);
    CHECK(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
  }

  TEST_CASE("rule 2, 5.4.1: a candidate without an up-to-date log gets no vote") {
    struct Case {
      uint64_t last_index, last_term;
      bool granted;
    };
    for (Case c : {Case{3, 2, true}, Case{4, 2, true}, Case{2, 2, false}, Case{9, 1, false}, Case{1, 3, true},
                   Case{0, 0, false}}) {
      Server server({.terms = {1, 1, 2}});
      CHECK(server.Vote(server.VoteArgs(2, 5, c.last_index, c.last_term)).vote_granted == c.granted);
      Server other({.terms = {1, 1, 2}});
      CHECK(other.Vote(other.PreVoteArgs(2, 5, c.last_index, c.last_term)).vote_granted == c.granted);
    }
  }
}

TEST_SUITE("figure 2: all servers") {
  TEST_CASE("committed entries are applied in order") {
    Server server({.terms = {1, 1, 1}});
    server.Append(server.AppendArgs(2, 2, 3, 1, {Commands(4, 2, 2, 2)}, 5));
    NextApplyResult next = server->NextApply(1 << 20, false);
    REQUIRE(std::holds_alternative<ReadRequest>(next));  // a restart leaves nothing in memory
    CHECK(std::get<ReadRequest>(next).from == Index(1));
    auto read = server->OnApplyRead(server.disk.Read(Index(1), 1 << 20), false);
    REQUIRE(read.size() == 4);
    CHECK(read.back().last() == Index(5));
    server->OnApplied(Index(5));
    CHECK(server->applied_index() == Index(5));
    CHECK(std::holds_alternative<std::monostate>(server->NextApply(1 << 20, false)));
  }

  TEST_CASE("a higher term in a request or a reply makes a follower of that term, durably") {
    Server leader;
    leader.Lead();
    leader.Propose();
    auto request = leader.NextAppend(2);
    REQUIRE(request.has_value());
    leader->OnAppendReply(leader.now, request->ticket, AppendEntriesResults{Term(7), false, Index(0), {}});
    CHECK(leader->role() == Role::kFollower);
    CHECK(leader->term() == Term(7));
    leader.Persist();
    CHECK(leader.disk.hard_state().term == Term(7));

    Server by_heartbeat;
    by_heartbeat.Lead();
    auto heartbeat = by_heartbeat->NextHeartbeat(NodeId(2), by_heartbeat.now);
    by_heartbeat->OnHeartbeatReply(by_heartbeat.now, heartbeat->ticket,
                                   AppendEntriesResults{Term(8), false, Index(0), {}});
    CHECK(by_heartbeat->role() == Role::kFollower);
    CHECK(by_heartbeat->term() == Term(8));

    Server by_vote;
    VoteRound round = by_vote.TimeOut();
    by_vote->OnVoteReply(by_vote.now, NodeId(2), round.ticket, RequestVoteResults{Term(9), false});
    CHECK(by_vote->role() == Role::kFollower);
    CHECK(by_vote->term() == Term(9));

    Server by_append;
    CHECK(by_append.Append(by_append.AppendArgs(2, 6, 1, 1)).success);
    CHECK(by_append.disk.hard_state() == HardState{Term(6), NodeId(0)});
  }
}

TEST_SUITE("figure 2: followers and candidates") {
  TEST_CASE("a follower without a leader campaigns after its election timeout") {
    Server server;
    TimePoint due = server->NextTick();
    CHECK(due >= server.now + 300 * kMs);
    CHECK(due < server.now + 500 * kMs);
    server->OnTick(due - Duration(1));
    CHECK(server->role() == Role::kFollower);
    server->OnTick(due);
    CHECK(server->role() == Role::kPreCandidate);
  }

  TEST_CASE("appends of the leader keep a follower from campaigning") {
    Server server;
    for (int i = 0; i < 20; ++i) {
      server.Advance(200 * kMs);
      server->OnTick(server.now);
      CHECK(server->role() == Role::kFollower);
      server.Append(server.AppendArgs(2, 3, 1, 1));
      CHECK(server->NextTick() >= server.now + 300 * kMs);
    }
  }

  TEST_CASE("a candidate increments the term, votes for itself and requests votes from all others") {
    Server server;
    VoteRound pre_vote = server.TimeOut();
    CHECK(server->term() == Term(1));
    CHECK(pre_vote.args.pre_vote);
    CHECK(pre_vote.args.term == Term(2));
    server->OnVoteReply(server.now, NodeId(3), pre_vote.ticket, RequestVoteResults{Term(1), true});
    CHECK(server->role() == Role::kCandidate);
    CHECK(server->term() == Term(2));
    auto election = server->NextVoteRound();
    REQUIRE(election.has_value());
    CHECK(election->peers.size() == 2);
    CHECK(election->args.term == Term(2));
    CHECK(election->args.candidate_id == NodeId(1));
    CHECK(election->args.last_index == Index(1));
    CHECK_FALSE(election->args.pre_vote);
    CHECK_FALSE(server->NextVoteRound().has_value());
    CHECK(election->gate == 1);
    server.Persist();
    CHECK(server.disk.hard_state() == HardState{Term(2), NodeId(1)});
  }

  TEST_CASE("a majority of votes elects a leader") {
    Server server({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    server.Win({4, 5});
    CHECK(server->leader() == NodeId(1));
  }

  TEST_CASE("an append of the new leader ends a candidacy") {
    Server server;
    VoteRound pre_vote = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(3), pre_vote.ticket, RequestVoteResults{Term(1), true});
    CHECK(server->role() == Role::kCandidate);
    server.Append(server.AppendArgs(2, 2, 1, 1));
    CHECK(server->role() == Role::kFollower);
    CHECK(server->leader() == NodeId(2));
    CHECK(server->term() == Term(2));
  }

  TEST_CASE("an election that times out is followed by another") {
    Server server;
    VoteRound first = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(3), first.ticket, RequestVoteResults{Term(1), true});
    server.Persist();
    CHECK(server->role() == Role::kCandidate);
    VoteRound second = server.TimeOut();
    CHECK(second.args.pre_vote);
    CHECK(second.args.term == Term(3));
  }
}

TEST_SUITE("figure 2: leaders") {
  TEST_CASE("a new leader appends and sends a no-op of its term, and heartbeats prevent other elections") {
    Server leader({.terms = {1, 1}});
    leader.Win();
    CHECK(leader.Terms() == std::vector<uint64_t>{1, 1, 2});
    for (uint64_t peer : {2, 3}) {
      auto request = leader.NextAppend(peer);
      REQUIRE(request.has_value());
      CHECK(request->args.prev_index == Index(2));
      REQUIRE(request->args.entries.size() == 1);
      CHECK((*request->args.entries[0].begin()).type == LogEntryType::kNoop);
      auto heartbeat = leader->NextHeartbeat(NodeId(peer), leader.now);
      REQUIRE(heartbeat.has_value());
      CHECK(heartbeat->args.entries.empty());
      CHECK(heartbeat->args.term == Term(2));
    }
  }

  TEST_CASE("the leader first appends a command to its own log") {
    Server leader;
    leader.Lead();
    BatchRef batch = leader.Propose(3);
    CHECK(batch.first() == Index(3));
    CHECK(batch.last() == leader->last_index());
    CHECK(batch.term() == leader->term());
    CHECK(leader->HasWrite());
  }

  TEST_CASE("a lagging peer gets entries from its next index on; success advances its match and next index") {
    Server leader;
    leader.Lead();
    leader.Propose();
    auto first = leader.NextAppend(2);
    REQUIRE(first.has_value());
    CHECK(first->args.prev_index == Index(2));
    leader.Propose();
    auto second = leader.NextAppend(2);
    REQUIRE(second.has_value());
    CHECK(second->args.prev_index == Index(3));
    leader.Acknowledge(*first);
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(3));
    leader.Acknowledge(*second);
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(4));
  }

  TEST_CASE("after a refusal the leader steps back and retries") {
    Server leader({.terms = {1, 2, 2, 4}});
    leader.Win();
    auto request = leader.NextAppend(3);
    leader.Refuse(*request, 3, 2);
    auto again = leader.NextAppend(3);
    REQUIRE(again.has_value());
    CHECK(again->args.prev_index == Index(3));
  }

  TEST_CASE("an entry of the leader's term is committed when a majority has it") {
    Server leader({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    leader.Lead({2, 3});
    leader.Propose();
    leader.Persist();
    CHECK(leader->commit_index() == Index(2));
    leader.Replicate(4);
    CHECK(leader->commit_index() == Index(2));
    leader.Replicate(5);
    CHECK(leader->commit_index() == Index(3));
  }

  TEST_CASE("B9: a majority of others commits before the leader's own disk has the entry (10.2.1)") {
    Server leader;
    leader.Lead();
    leader.Propose();
    leader.Replicate(2);
    CHECK(leader->commit_index() == Index(2));  // one of three
    CHECK(leader->durable_index() == Index(2));
    leader.Replicate(3);
    CHECK(leader->commit_index() == Index(3));
    leader.Persist();
    CHECK(leader->durable_index() == Index(3));
  }
}

}  // namespace
}  // namespace ringraft::core
