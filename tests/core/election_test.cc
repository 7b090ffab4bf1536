// Elections beyond Figure 2: pre-vote (§9.6), CheckQuorum (§6.2), votes withheld while a leader is alive (§4.2.3), and
// known hazards of elections (A1 to A24 in tests/CATALOGUE.md).
#include <doctest/doctest.h>

#include <set>

#include "server.h"

namespace ringraft::core {
namespace {

RequestVoteResults Granted(uint64_t term) { return RequestVoteResults{Term(term), true}; }
RequestVoteResults Refused(uint64_t term) { return RequestVoteResults{Term(term), false}; }

TEST_SUITE("9.6 pre-vote") {
  TEST_CASE("a pre-vote changes and persists nothing, on either side") {
    Server server;
    TimePoint due = server->NextTick();
    CHECK(server.Vote(server.PreVoteArgs(2, 9, 1, 1)).vote_granted);
    CHECK(server.Vote(server.PreVoteArgs(3, 9, 1, 1)).vote_granted);
    CHECK(server->term() == Term(1));
    CHECK(server->NextTick() == due);
    server.TimeOut();
    CHECK(server->term() == Term(1));
    CHECK_FALSE(server->HasWrite());
    CHECK(server->persisted() == 0);
  }

  TEST_CASE("A11: without a majority of pre-votes no term is raised, however many timeouts pass") {
    Server server;
    for (int i = 0; i < 50; ++i) {
      VoteRound round = server.TimeOut();
      CHECK(round.args.pre_vote);
      CHECK(round.args.term == Term(2));
    }
    CHECK(server->term() == Term(1));
  }

  TEST_CASE("A6: a pre-vote reply does not count as a vote, not even with the term of the election") {
    Server server({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    VoteRound pre_vote = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), pre_vote.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(3), pre_vote.ticket, Granted(1));
    server.Persist();
    CHECK(server->role() == Role::kCandidate);
    server->OnVoteReply(server.now, NodeId(4), pre_vote.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(5), pre_vote.ticket, Granted(2));
    server.Persist();
    CHECK(server->role() == Role::kCandidate);
  }

  TEST_CASE("A7: a pre-candidate with an older term adopts the voter's, and campaigns for the next") {
    Server server({.terms = {1, 1, 3}, .term = 3});
    VoteRound round = server.TimeOut();
    Server voter({.self = 2, .terms = {1}, .term = 5, .vote = 3});
    RequestVoteArgs args = round.args;
    args.to = NodeId(2);
    RequestVoteResults refused = voter.Vote(args);
    CHECK_FALSE(refused.vote_granted);
    CHECK(refused.term == Term(5));
    server->OnVoteReply(server.now, NodeId(2), round.ticket, refused);
    CHECK(server->term() == Term(5));
    args = server.TimeOut().args;
    args.to = NodeId(2);
    CHECK(args.term == Term(6));
    CHECK(voter.Vote(args).vote_granted);
  }

  TEST_CASE("A7: a voter already in the proposed term grants a pre-vote if its vote is free, and that grant counts") {
    Server server({.terms = {1, 1, 3}, .term = 4});
    VoteRound round = server.TimeOut();
    Server voter({.self = 2, .terms = {1}, .term = 5});
    RequestVoteArgs args = round.args;
    args.to = NodeId(2);
    RequestVoteResults granted = voter.Vote(args);
    CHECK(granted.vote_granted);
    server->OnVoteReply(server.now, NodeId(2), round.ticket, granted);
    CHECK(server->role() == Role::kCandidate);
    CHECK(server->term() == Term(5));
  }

  TEST_CASE("A8: a vote in this term does not prevent a pre-vote for the next") {
    Server server({.term = 5, .vote = 3});
    CHECK(server.Vote(server.PreVoteArgs(2, 6, 1, 1)).vote_granted);
    CHECK_FALSE(server.Vote(server.PreVoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK(server.Vote(server.PreVoteArgs(3, 5, 1, 1)).vote_granted);
  }

  TEST_CASE("A10: replies of an earlier round, or after the election is won, are ignored") {
    Server server({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    VoteRound first = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), first.ticket, Granted(1));
    VoteRound second = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(3), first.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(4), first.ticket, Granted(1));
    CHECK(server->role() == Role::kPreCandidate);
    server->OnVoteReply(server.now, NodeId(3), second.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(4), second.ticket, Granted(1));
    CHECK(server->role() == Role::kCandidate);
    auto election = server->NextVoteRound();
    server.Persist();
    server->OnVoteReply(server.now, NodeId(2), election->ticket, Granted(2));
    server->OnVoteReply(server.now, NodeId(3), election->ticket, Granted(2));
    REQUIRE(server->is_leader());
    server->OnVoteReply(server.now, NodeId(5), second.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(5), election->ticket, Granted(2));
    server->OnVoteReply(server.now, NodeId(4), election->ticket, Refused(2));
    CHECK(server->is_leader());
    CHECK(server->term() == Term(2));
  }

  TEST_CASE("A10: granting a vote ends the own pre-vote: its late replies could depose the candidate") {
    Server server;
    VoteRound round = server.TimeOut();
    CHECK(server.Vote(server.VoteArgs(2, 2, 1, 1)).vote_granted);
    server->OnVoteReply(server.now, NodeId(3), round.ticket, Granted(2));
    CHECK(server->role() == Role::kFollower);
    CHECK(server->term() == Term(2));
  }
}

TEST_SUITE("3.4 elections") {
  TEST_CASE("A1: the candidate's own vote counts once it is durable") {
    Server server;
    VoteRound pre_vote = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), pre_vote.ticket, Granted(1));
    auto election = server->NextVoteRound();
    CHECK(election->gate == 1);
    server->OnVoteReply(server.now, NodeId(2), election->ticket, Granted(2));
    CHECK(server->role() == Role::kCandidate);
    server.Persist();
    CHECK(server->is_leader());
  }

  TEST_CASE("A1: a vote, and each term that a reply names, is sent only once it is on the disk") {
    Server server;
    VoteReply granted = server->OnRequestVote(server.now, server.VoteArgs(2, 5, 1, 1));
    CHECK(granted.results.vote_granted);
    CHECK(granted.gate == 1);
    VoteReply again = server->OnRequestVote(server.now, server.VoteArgs(2, 5, 1, 1));
    CHECK(again.results.vote_granted);
    CHECK(again.gate == 1);
    VoteReply refused = server->OnRequestVote(server.now, server.VoteArgs(3, 5, 1, 1));
    CHECK_FALSE(refused.results.vote_granted);
    CHECK(refused.gate == 1);
    server.Take();
    CHECK(server->OnRequestVote(server.now, server.VoteArgs(2, 5, 1, 1)).gate == 1);
    server.FinishOne();
    CHECK(server.disk.hard_state() == HardState{Term(5), NodeId(2)});
    CHECK(server->OnRequestVote(server.now, server.VoteArgs(2, 5, 1, 1)).gate == 0);
  }

  TEST_CASE("A3: a reply carries the new term of the request") {
    Server server({.terms = {1, 1}});
    RequestVoteResults results = server.Vote(server.VoteArgs(2, 8, 1, 1));  // its log lags
    CHECK_FALSE(results.vote_granted);
    CHECK(results.term == Term(8));
    CHECK(server.disk.hard_state().term == Term(8));
  }

  TEST_CASE("A4: a refused vote request does not reset the election timer") {
    Server server({.terms = {1, 1, 2}});
    TimePoint due = server->NextTick();
    for (uint64_t term = 3; term < 30; ++term) {
      server.Advance(10 * kMs);
      CHECK_FALSE(server.Vote(server.VoteArgs(2, term, 1, 1)).vote_granted);
      CHECK(server->NextTick() == due);
    }
  }

  TEST_CASE("A5: granting a vote resets the election timer") {
    Server server;
    server.Advance(290 * kMs);
    CHECK(server.Vote(server.VoteArgs(2, 3, 1, 1)).vote_granted);
    CHECK(server->NextTick() >= server.now + 300 * kMs);
  }

  TEST_CASE("A14: a candidate does not fall back to an older term on an old append") {
    Server server({.terms = {1}, .term = 4});
    VoteRound round = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), round.ticket, Granted(4));
    server.Persist();
    REQUIRE(server->role() == Role::kCandidate);
    AppendEntriesResults results = server.Append(server.AppendArgs(2, 4, 1, 1, {Commands(2, 4, 1, 2)}));
    CHECK_FALSE(results.success);
    CHECK(results.term == Term(5));
    CHECK(server->role() == Role::kCandidate);
    CHECK(server->last_index() == Index(1));
  }

  TEST_CASE("A16: a single server elects itself, and increments its term exactly once") {
    Server server({.configuration = MakeConfiguration({1})});
    CHECK(server->role() == Role::kFollower);
    server.now = server->NextTick();
    server->OnTick(server.now);
    CHECK_FALSE(server->is_leader());  // its vote is not durable yet
    CHECK_FALSE(server->NextVoteRound().has_value());
    server.Persist();
    CHECK(server->is_leader());
    CHECK(server->term() == Term(2));
    CHECK(server->commit_index() == Index(2));
    server->OnTick(server.now + std::chrono::hours(9));
    CHECK(server->NextTick() == TimePoint::max());
    CHECK(server->is_leader());
    server.Restart();
    CHECK(server->role() == Role::kFollower);
    CHECK(server->term() == Term(2));
  }

  TEST_CASE("A17: replies of servers that are not voters do not count") {
    Server server;
    VoteRound round = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(8), round.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(9), round.ticket, Granted(1));
    server->OnVoteReply(server.now, NodeId(1), round.ticket, Granted(1));
    CHECK(server->role() == Role::kPreCandidate);
    server->OnVoteReply(server.now, NodeId(2), round.ticket, Granted(1));
    CHECK(server->role() == Role::kCandidate);
    round = *server->NextVoteRound();
    server.Persist();
    server->OnVoteReply(server.now, NodeId(8), round.ticket, Granted(2));
    server->OnVoteReply(server.now, NodeId(9), round.ticket, Granted(2));
    CHECK(server->role() == Role::kCandidate);
  }

  TEST_CASE("a voter counts once, however often its reply arrives") {
    Server server({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    VoteRound round = server.TimeOut();
    for (int i = 0; i < 4; ++i) server->OnVoteReply(server.now, NodeId(2), round.ticket, Granted(1));
    CHECK(server->role() == Role::kPreCandidate);
  }

  TEST_CASE("A19: a refusal with a higher term does not count as a vote") {
    Server server;
    VoteRound pre_vote = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), pre_vote.ticket, Granted(1));
    auto election = server->NextVoteRound();
    server.Persist();
    server->OnVoteReply(server.now, NodeId(2), election->ticket, Refused(6));
    CHECK(server->role() == Role::kFollower);
    CHECK(server->term() == Term(6));
  }

  TEST_CASE("A20: servers with the same seed draw different timeouts, and each server a new one each time") {
    std::set<TimePoint> dues;
    for (uint64_t self = 1; self <= 20; ++self) {
      Server server({.self = self, .configuration = MakeConfiguration({self, 99})});
      for (int i = 0; i < 20; ++i) {
        TimePoint due = server->NextTick();
        CHECK(due >= server.now + 300 * kMs);
        CHECK(due < server.now + 500 * kMs);
        dues.insert(due);
        server.TimeOut();
      }
    }
    CHECK(dues.size() > 390);
  }

  TEST_CASE("A23: a large clock value makes no difference") {
    for (int64_t start_ms : {int64_t{1} << 31, int64_t{1} << 32, (int64_t{1} << 53) / 1'000'000}) {
      Server server;
      server.now = TimePoint(std::chrono::milliseconds(start_ms));
      server.Restart();
      server.Win();
      server.Advance(499 * kMs);
      server->OnTick(server.now);
      CHECK(server->is_leader());
      server.Advance(1 * kMs);
      server->OnTick(server.now);
      CHECK_FALSE(server->is_leader());
    }
  }

  TEST_CASE("I9: an implausible vote request gets no vote and does not change the term") {
    Server server;
    auto good = server.VoteArgs(2, 5, 1, 1);
    auto refuse = [&](RequestVoteArgs args) {
      CHECK_FALSE(server.Vote(args).vote_granted);
      CHECK(server->term() == Term(1));
    };
    auto args = good;
    args.group = GroupId(8);
    refuse(args);
    args = good;
    args.to = NodeId(2);
    refuse(args);
    args = good;
    args.candidate_id = NodeId(1);
    refuse(args);
    args = good;
    args.candidate_id = NodeId(0);
    refuse(args);
    args = good;
    args.term = Term(~uint64_t{0});
    refuse(args);
    args = good;
    args.last_index = Index(~uint64_t{0});
    refuse(args);
    args = good;
    args.last_term = Term(6);
    refuse(args);
    args = good;
    args.term = Term(0);
    refuse(args);
    CHECK(server.Vote(good).vote_granted);
  }

  TEST_CASE("I9: a term near the maximum is not accepted from a reply") {
    Server server;
    VoteRound round = server.TimeOut();
    server->OnVoteReply(server.now, NodeId(2), round.ticket, Refused(~uint64_t{0}));
    CHECK(server->term() == Term(1));
    Server leader;
    leader.Lead();
    leader.Propose();
    auto request = leader.NextAppend(2);
    leader->OnAppendReply(leader.now, request->ticket, AppendEntriesResults{Term(~uint64_t{0}), false, Index(0), {}});
    CHECK(leader->is_leader());
  }
}

TEST_SUITE("4.2.3 disruptive servers") {
  TEST_CASE(
      "A11: a server that hears from a leader grants no vote and keeps its term for the minimum election timeout") {
    Server server;
    server.Append(server.AppendArgs(2, 3, 1, 1));
    server.Advance(299 * kMs);
    for (bool pre_vote : {true, false}) {
      RequestVoteArgs args = server.VoteArgs(3, 9, 1, 1);
      args.pre_vote = pre_vote;
      RequestVoteResults results = server.Vote(args);
      CHECK_FALSE(results.vote_granted);
      CHECK(results.term == Term(3));
      CHECK(server->term() == Term(3));
    }
    server.Advance(1 * kMs);
    CHECK(server.Vote(server.VoteArgs(3, 9, 1, 1)).vote_granted);
  }

  TEST_CASE("A11: a leader grants no vote and keeps its term") {
    Server leader;
    leader.Lead();
    CHECK_FALSE(leader.Vote(leader.PreVoteArgs(3, 9, 5, 8)).vote_granted);
    CHECK_FALSE(leader.Vote(leader.VoteArgs(3, 9, 5, 8)).vote_granted);
    CHECK(leader->is_leader());
    CHECK(leader->term() == Term(2));
  }
}

TEST_SUITE("6.2 CheckQuorum") {
  TEST_CASE("A12: a leader without replies of a majority for the maximum election timeout steps down in its term") {
    Server leader({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    leader.Win({2, 3});
    TimePoint elected = leader.now;
    // One of the four others keeps replying: two of five.
    while (leader.now < elected + 500 * kMs - Duration(1)) {
      leader.now = std::min(leader.now + 20 * kMs, elected + 500 * kMs - Duration(1));
      auto heartbeat = leader->NextHeartbeat(NodeId(2), leader.now);
      leader->OnHeartbeatReply(leader.now, heartbeat->ticket, AppendEntriesResults{Term(2), true, Index(1), {}});
      leader->OnTick(leader.now);
      CHECK(leader->is_leader());
    }
    leader.Advance(Duration(1));
    CHECK(leader->NextTick() <= leader.now);
    leader->OnTick(leader.now);
    CHECK(leader->role() == Role::kFollower);
    CHECK(leader->term() == Term(2));
    CHECK(leader->leader() == NodeId(0));
    CHECK(leader->NextTick() >= leader.now + 300 * kMs);
  }

  TEST_CASE("A12: replies of a majority keep a leader in place") {
    Server leader({.configuration = MakeConfiguration({1, 2, 3, 4, 5})});
    leader.Win({2, 3});
    for (int i = 0; i < 50; ++i) {
      leader.Advance(100 * kMs);
      for (uint64_t peer : {4, 5}) {
        auto heartbeat = leader->NextHeartbeat(NodeId(peer), leader.now);
        leader->OnHeartbeatReply(leader.now, heartbeat->ticket, AppendEntriesResults{Term(2), true, Index(1), {}});
      }
      leader->OnTick(leader.now);
      CHECK(leader->is_leader());
    }
  }

  TEST_CASE("C8: in a joint configuration a majority of each half has to reply") {
    Server leader({.configuration = MakeConfiguration({1, 2, 3})});
    leader.Lead();
    REQUIRE(leader->ProposeConfig(Change(std::vector{MakePeer(4), MakePeer(5)}, std::vector{NodeId(2), NodeId(3)}))
                .has_value());
    TimePoint start = leader.now;
    while (leader.now < start + 600 * kMs) {
      for (uint64_t peer : {2, 3}) {
        auto heartbeat = leader->NextHeartbeat(NodeId(peer), leader.now);
        if (heartbeat)
          leader->OnHeartbeatReply(leader.now, heartbeat->ticket, AppendEntriesResults{Term(2), true, Index(1), {}});
      }
      leader.Advance(50 * kMs);
      leader->OnTick(leader.now);
    }
    CHECK_FALSE(leader->is_leader());
  }
}

}  // namespace
}  // namespace ringraft::core
