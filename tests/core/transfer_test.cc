// Leadership transfer: dissertation §3.10.
#include <doctest/doctest.h>

#include "cluster.h"
#include "server.h"

namespace ringraft::core {
namespace {

constexpr NodeId kTwo{2};

Server LeaderOfThree() {
  Server leader;
  leader.Lead();
  leader.Replicate(2);
  return leader;
}

Result<void> Begin(Server& leader, uint64_t to = 2) {
  return leader->TransferLeadership(leader.now, NodeId(to), leader.now + 300 * kMs);
}

// The heartbeat that makes a follower campaign.
AppendEntriesArgs TimeoutNow(const Server& follower, uint64_t leader, uint64_t term, uint64_t last,
                             uint64_t last_term) {
  AppendEntriesArgs args = follower.AppendArgs(leader, term, last, last_term);
  args.timeout_now = true;
  return args;
}

TEST_CASE("A21: only a leader transfers leadership, to another voter, one transfer at a time") {
  Server follower;
  CHECK(Begin(follower).error() == Errc::kNotLeader);
  Server leader = LeaderOfThree();
  CHECK(Begin(leader, 1).error() == Errc::kInvalidArgument);
  CHECK(Begin(leader, 4).error() == Errc::kInvalidArgument);
  CHECK(!leader->IsTransferring());
  REQUIRE(Begin(leader));
  CHECK(leader->IsTransferring());
  CHECK(Begin(leader, 3).error() == Errc::kTransferInProgress);
  CHECK(leader->ProposeConfig(Change(std::vector<Peer>{MakePeer(4)}, {})).error() == Errc::kTransferInProgress);
}

TEST_CASE("A21: the successor gets timeout-now once its disk has all entries, and again with each heartbeat") {
  Server leader = LeaderOfThree();
  leader.Propose();
  leader.Persist();
  REQUIRE(Begin(leader));
  CHECK(!leader->NextTimeoutNow(leader.now));
  CHECK(!leader->NextHeartbeat(kTwo, leader.now)->args.timeout_now);
  leader.Replicate(2);
  auto request = leader->NextTimeoutNow(leader.now);
  REQUIRE(request);
  CHECK(request->peer.id == kTwo);
  CHECK(request->args.timeout_now);
  CHECK(request->args.entries.empty());
  CHECK(request->args.prev_index == leader->last_index());
  CHECK(!leader->NextTimeoutNow(leader.now));
  CHECK(leader->NextHeartbeat(kTwo, leader.now)->args.timeout_now);
  CHECK(!leader->NextHeartbeat(NodeId(3), leader.now)->args.timeout_now);
}

TEST_CASE(
    "A21: the successor gets no timeout-now before all entries are committed, so that callers have their results") {
  ServerSpec spec;
  spec.configuration = MakeConfiguration({1, 2, 3, 4, 5});
  Server leader(spec);
  leader.Lead({2, 3});
  leader.Replicate(2);
  leader.Propose();
  leader.Persist();
  leader.Replicate(2);
  REQUIRE(Begin(leader));
  CHECK(leader->commit_index() < leader->last_index());
  CHECK(!leader->NextTimeoutNow(leader.now));
  leader.Replicate(3);
  CHECK(leader->commit_index() == leader->last_index());
  CHECK(leader->NextTimeoutNow(leader.now));
}

TEST_CASE("A9: a server that gets timeout-now campaigns at once, although it has just heard from its leader") {
  Server server;
  server.Append(server.AppendArgs(2, 5, 1, 1));
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  CHECK(server->role() == Role::kPreCandidate);
  auto round = server->NextVoteRound();
  REQUIRE(round);
  CHECK(round->args.pre_vote);
  CHECK(round->args.is_transfer);
  CHECK(round->args.term == Term(6));
  RequestVoteResults granted;
  granted.term = Term(5);
  granted.vote_granted = true;
  server->OnVoteReply(server.now, kTwo, round->ticket, granted);
  round = server->NextVoteRound();
  REQUIRE(round);
  CHECK(!round->args.pre_vote);
  CHECK(round->args.is_transfer);
  CHECK(server->role() == Role::kCandidate);
  server.Persist();
  granted.term = Term(6);
  server->OnVoteReply(server.now, kTwo, round->ticket, granted);
  CHECK(server->is_leader());
}

RequestVoteResults GrantedIn(uint64_t term) {
  RequestVoteResults granted;
  granted.term = Term(term);
  granted.vote_granted = true;
  return granted;
}

TEST_CASE("J3: the request to campaign comes with each heartbeat, and the pre-vote that it began goes on") {
  Server server;
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  auto round = server->NextVoteRound();
  REQUIRE(round);
  for (int i = 0; i < 2; ++i) {
    server.Advance(100 * kMs);
    CHECK(server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value().accepted);
    CHECK(server->role() == Role::kPreCandidate);
    CHECK(!server->NextVoteRound());
  }
  server->OnVoteReply(server.now, kTwo, round->ticket, GrantedIn(5));
  CHECK(server->role() == Role::kCandidate);
}

TEST_CASE("J3: a pre-vote whose messages were lost begins anew after the shortest election timeout") {
  Server server;
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  auto lost = server->NextVoteRound();
  REQUIRE(lost);
  for (int i = 0; i < 3; ++i) {
    CHECK(!server->NextVoteRound());
    server.Advance(100 * kMs);
    server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  }
  auto round = server->NextVoteRound();
  REQUIRE(round);
  CHECK(round->args.is_transfer);
  CHECK(round->ticket.round != lost->ticket.round);
}

TEST_CASE("J3: entries, and a heartbeat without the request, end a pre-vote for a transfer") {
  Server server;
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  auto outdated = server->NextVoteRound();
  REQUIRE(outdated);
  server->OnAppendEntries(server.now, server.AppendArgs(2, 5, 1, 1)).value();
  CHECK(server->role() == Role::kFollower);

  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  REQUIRE(server->NextVoteRound());
  AppendEntriesArgs with_data = TimeoutNow(server, 2, 5, 1, 1);
  with_data.entries.push_back(Commands(2, 5, 1, 2));
  server->OnAppendEntries(server.now, with_data).value();
  CHECK(server->role() == Role::kFollower);
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 2, 5)).value();
  auto round = server->NextVoteRound();
  REQUIRE(round);
  CHECK(round->args.last_index == Index(2));
  server->OnVoteReply(server.now, kTwo, outdated->ticket, GrantedIn(5));
  CHECK(server->role() == Role::kPreCandidate);
}

TEST_CASE("A9: an election after a timeout is not marked as a transfer, even after a failed transfer") {
  Server server;
  server->OnAppendEntries(server.now, TimeoutNow(server, 2, 5, 1, 1)).value();
  REQUIRE(server->NextVoteRound()->args.is_transfer);
  server.Persist();
  VoteRound round = server.TimeOut();
  CHECK(!round.args.is_transfer);
}

TEST_CASE("A21: a timeout-now that is late, early or addressed to a nonmember is ignored") {
  ServerSpec spec;
  spec.terms = {1, 2, 2};
  spec.term = 2;
  auto ignores = [](Server& server, const AppendEntriesArgs& args) {
    (void)server->OnAppendEntries(server.now, args);
    return server->role() == Role::kFollower && !server->NextVoteRound();
  };
  Server server(spec);
  CHECK(ignores(server, TimeoutNow(server, 2, 2, 2, 2)));  // the log has grown since
  CHECK(ignores(server, TimeoutNow(server, 2, 2, 4, 2)));  // the log is shorter
  CHECK(ignores(server, TimeoutNow(server, 2, 1, 3, 2)));  // an older term
  AppendEntriesArgs with_data = TimeoutNow(server, 2, 2, 3, 2);
  with_data.entries.push_back(Commands(4, 2, 1, 2));
  CHECK(ignores(server, with_data));
  spec.self = 4;  // not a member
  Server outsider(spec);
  CHECK(ignores(outsider, TimeoutNow(outsider, 2, 2, 3, 2)));
}

TEST_CASE("A9: a voter that hears from its leader votes for the leader's successor, and for no other candidate") {
  Server voter;
  voter.Append(voter.AppendArgs(2, 5, 1, 1));
  RequestVoteArgs args = voter.VoteArgs(3, 6, 1, 1);
  CHECK(!voter.Vote(args).vote_granted);
  CHECK(voter->term() == Term(5));
  args.is_transfer = true;
  args.last_index = Index(0);  // lagging: no leader chooses a successor with this log
  args.last_term = Term(0);
  CHECK(!voter.Vote(args).vote_granted);
  CHECK(voter->term() == Term(5));
  args = voter.VoteArgs(3, 6, 1, 1);
  args.is_transfer = true;
  CHECK(voter.Vote(args).vote_granted);
  CHECK(voter->term() == Term(6));
}

TEST_CASE("A9: a leader votes only for its successor, and only during the transfer") {
  Server leader = LeaderOfThree();
  const uint64_t last = leader->last_index().value(), term = leader->term().value();
  auto gets_vote = [&](uint64_t candidate) {
    RequestVoteArgs args = leader.PreVoteArgs(candidate, term + 1, last, term);
    args.is_transfer = true;
    return leader.Vote(args).vote_granted;
  };
  CHECK(!gets_vote(2));
  REQUIRE(Begin(leader));
  CHECK(!gets_vote(3));
  CHECK(gets_vote(2));
  CHECK(leader->is_leader());
  leader.Advance(300 * kMs);
  leader->OnTick(leader.now);
  CHECK(!leader->IsTransferring());
  CHECK(!gets_vote(2));
}

TEST_CASE("A21: a transfer abandoned after its timeout-now appends an entry, which makes that message stale") {
  Server leader = LeaderOfThree();
  const Index last = leader->last_index();
  REQUIRE(Begin(leader));
  CHECK(leader->NextTick() <= leader.now + 300 * kMs);
  leader.Advance(300 * kMs);
  leader->OnTick(leader.now);
  CHECK(!leader->IsTransferring());
  CHECK(leader->last_index() == last);  // no timeout-now was sent

  leader.Propose();
  leader.Persist();
  leader.Replicate(2);
  REQUIRE(Begin(leader));
  REQUIRE(leader->NextTimeoutNow(leader.now));
  leader.Advance(299 * kMs);
  leader->OnTick(leader.now);
  CHECK(leader->IsTransferring());
  leader.Advance(1 * kMs);
  leader->OnTick(leader.now);
  CHECK(!leader->IsTransferring());
  CHECK(leader->is_leader());
  CHECK(leader->last_index() == last + 2);
}

TEST_CASE("A21: the best successor is the responsive voter with the longest log") {
  Server leader = LeaderOfThree();
  leader.Propose();
  leader.Persist();
  leader.Replicate(3);
  CHECK(leader->BestSuccessor(leader.now) == NodeId(3));
  leader.Advance(leader.options.election_timeout_min);
  leader.Propose();
  leader.Persist();
  leader.Replicate(2);
  CHECK(leader->BestSuccessor(leader.now) == kTwo);
  leader.Advance(leader.options.election_timeout_min);
  CHECK(leader->BestSuccessor(leader.now) == NodeId(0));
  Server follower;
  CHECK(follower->BestSuccessor(follower.now) == NodeId(0));
}

TEST_CASE("A21: a transfer ends with the leadership") {
  Server leader = LeaderOfThree();
  REQUIRE(Begin(leader));
  leader.Append(leader.AppendArgs(3, leader->term().value() + 1, 1, 1));
  CHECK(!leader->IsTransferring());
  CHECK(!leader->NextTimeoutNow(leader.now));
}

TEST_CASE("A21: in a cluster that loses and reorders messages, transfers move the leadership and lose nothing") {
  uint64_t moved = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    ClusterOptions options;
    options.seed = seed;
    options.drop = seed % 4 == 0 ? 0.1 : 0;
    options.repeat = 0.05;
    Cluster cluster(options);
    REQUIRE(cluster.RunUntil([&] { return cluster.Leader() != 0; }, 10'000 * kMs));
    for (int round = 0; round < 10; ++round) {
      cluster.RunFor(20 * kMs);
      const uint64_t leader = cluster.Leader();
      if (leader == 0 || !cluster.Propose(leader)) continue;
      const uint64_t to = leader % 3 + 1;
      if (!cluster.Transfer(leader, to)) continue;
      if (cluster.RunUntil([&] { return cluster.Leader() == to; }, 400 * kMs)) ++moved;
    }
    cluster.MakeReliable();
    CHECK(cluster.RunUntil([&] { return cluster.IsSettled(); }, 10'000 * kMs));
  }
  CHECK(moved > 300);
}

}  // namespace
}  // namespace ringraft::core
