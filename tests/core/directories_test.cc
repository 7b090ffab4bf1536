// A member is its ID together with its data directory (hazard C17 in tests/CATALOGUE.md: a member's directory was
// emptied). One with another directory does not count until it is readmitted.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

// The directory of server n is 10 n, and 10 n + 1 once it was emptied.
Configuration Known(std::initializer_list<uint64_t> voters, uint64_t generation = 0, uint64_t emptied = 0) {
  Configuration configuration = MakeConfiguration(voters);
  for (Member& voter : configuration.voters)
    voter.incarnation = 10 * voter.id.value() + (voter.id.value() == emptied ? generation : 0);
  return configuration;
}

CoreOptions OptionsOf(uint64_t self, uint64_t incarnation) {
  CoreOptions options = TestOptions(self);
  options.incarnation = incarnation;
  options.catch_up_rounds = 10;
  return options;
}

Server Make(const Configuration& configuration = Known({1, 2, 3}), uint64_t incarnation = 10) {
  ServerSpec spec;
  spec.configuration = configuration;
  Server server(spec, OptionsOf(1, incarnation));
  for (uint64_t peer = 2; peer <= 5; ++peer) server.directories[peer] = 10 * peer;
  return server;
}

TEST_SUITE("data directories of members") {
  TEST_CASE("C17: a vote from a directory that is not the member's does not count") {
    for (uint64_t directory : {21, 20}) {
      Server server = Make();
      server.directories[2] = directory;
      VoteRound pre_vote = server.TimeOut();
      server->OnVoteReply(server.now, NodeId(2), pre_vote.ticket, RequestVoteResults{server->term(), true, directory});
      CHECK((server->role() == Role::kCandidate) == (directory == 20));
      server->OnVoteReply(server.now, NodeId(3), pre_vote.ticket, RequestVoteResults{server->term(), true, 30});
      auto election = server->NextVoteRound();
      REQUIRE(election.has_value());
      server.Persist();
      server->OnVoteReply(server.now, NodeId(2), election->ticket, RequestVoteResults{server->term(), true, directory});
      CHECK(server->is_leader() == (directory == 20));
    }
  }

  TEST_CASE("C17: an acknowledgement from another directory does not count, and that directory gets no entries") {
    Server leader = Make();
    leader.Win({3});
    leader.Persist();
    leader.directories[2] = 21;
    leader.Replicate(2);
    CHECK(leader->commit_index() < leader->last_index());
    CHECK(leader->NeedsReadmission(NodeId(2)));
    CHECK_FALSE(leader.NextAppend(2).has_value());
    leader.Replicate(3);
    CHECK(leader->commit_index() == leader->last_index());
    CHECK_FALSE(leader->NeedsReadmission(NodeId(3)));
  }

  TEST_CASE("C17: acknowledgements of a lost directory do not stay with the member") {
    Server leader = Make();
    leader.Lead({2, 3});
    leader.Propose();  // not on the leader's disk
    leader.Replicate(2);
    const Index before = leader->commit_index();
    leader.directories[2] = 21;
    leader.AnswerHeartbeat(2);
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(0));
    CHECK(leader->PeerStatuses(leader.now)[1].needs_readmission);
    leader.Persist();
    CHECK(leader->commit_index() == before);  // the lost directory no longer counts
    leader.Replicate(3);
    CHECK(leader->commit_index() == leader->last_index());
  }

  TEST_CASE("C17: a server with another directory than the member's does not campaign") {
    Server wiped = Make(Known({1, 2, 3}), 11);
    CHECK(wiped->NextTick() == TimePoint::max());
    wiped.Advance(1000 * kMs);
    wiped->OnTick(wiped.now);
    CHECK(wiped->role() == Role::kFollower);
    Server intact = Make();
    CHECK(intact->NextTick() < TimePoint::max());
  }

  TEST_CASE("C17: a learner that replies from another directory is not promoted before it is readmitted") {
    Configuration configuration = Known({1, 2});
    configuration.learners.push_back(MakePeer(3));
    configuration.learners.back().incarnation = 30;
    for (uint64_t directory : {31, 30}) {
      Server leader = Make(configuration);
      leader.Lead({2});
      leader.directories[3] = directory;
      leader.AnswerHeartbeat(3);
      auto ticket = leader.ProposeConfig(ConfigChange().Promote(NodeId(3)));
      REQUIRE(ticket.has_value());
      leader.Replicate(3);
      CHECK(leader->configuration().is_joint() == (directory == 30));
      if (directory == 30) continue;
      CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kRefused);
      CHECK(ticket.value()->refusal.message().find("readmit it first") != std::string::npos);
    }
  }

  TEST_CASE("C17: a member is readmitted at another address in one change") {
    Server leader = Make();
    leader.Lead({2, 3});
    const Peer moved(NodeId(3), Addr("127.0.0.1:7999"));
    auto ticket = leader.ProposeConfig(ConfigChange().Readmit(NodeId(3)).SetAddr(NodeId(3), moved.addr));
    REQUIRE(ticket.has_value());
    CHECK(leader->ReplicationPeers()[1] == moved);
    CHECK(leader->configuration() == Known({1, 2, 3}));
    leader.directories[3] = 31;
    leader.Replicate(3);
    REQUIRE(leader->configuration().is_joint());
    CHECK(leader->configuration().Find(NodeId(3))->incarnation == 31);
    CHECK(leader->configuration().Find(NodeId(3))->addr == moved.addr);
  }

  TEST_CASE("C17: a bootstrapping member with an empty log has not begun or lost it, and does not vote") {
    CoreOptions options = OptionsOf(1, 11);
    for (bool bootstraps : {true, false}) {
      options.bootstraps = bootstraps;
      ServerSpec spec;
      spec.terms = {};
      Server server(spec, options);
      REQUIRE(server->last_index() == Index(0));
      CHECK(server.Vote(server.VoteArgs(2, 5, 3, 2)).vote_granted == !bootstraps);
      CHECK(server.Vote(server.PreVoteArgs(3, 6, 3, 2)).vote_granted == !bootstraps);
    }
  }

  TEST_CASE("C17: a majority that replies from other directories counts as silent (6.2)") {
    Server leader = Make();
    leader.Lead({2, 3});
    leader.directories[2] = 21;
    leader.directories[3] = 31;
    for (int i = 0; i < 12 && leader->is_leader(); ++i) {
      leader.Advance(100 * kMs);
      leader.AnswerHeartbeat(2);
      if (leader->is_leader()) leader.AnswerHeartbeat(3);
      leader->OnTick(leader.now);
    }
    CHECK_FALSE(leader->is_leader());
  }

  TEST_CASE("C17: a readmitted member gets the log first, and then counts in C(new) only") {
    Server leader = Make();
    leader.Lead({2, 3});
    leader.directories[2] = 21;
    leader.AnswerHeartbeat(2);
    CHECK_FALSE(leader.NextAppend(2).has_value());
    auto ticket = leader.ProposeConfig(ConfigChange().Readmit(NodeId(2)));
    REQUIRE(ticket.has_value());
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kCatchingUp);
    leader.Replicate(2);  // the log, and C(old,new)
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kPending);
    Configuration joint = Known({1, 2, 3}, 1, 2);
    joint.old_voters = Known({1, 2, 3}).voters;
    CHECK(leader->configuration() == joint);
    leader.Persist();
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kPending);  // of the old voters only 1 has it
    leader.Replicate(3);
    leader.Persist();
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kDone);
    CHECK(leader->configuration() == Known({1, 2, 3}, 1, 2));
    leader.Propose();
    leader.Persist();
    const Index last = leader->last_index();
    leader.Replicate(2);
    CHECK(leader->commit_index() == last);
  }

  TEST_CASE("C17: readmission is refused for a member with its own directory, the leader and a nonmember") {
    Server leader = Make();
    leader.Lead({2, 3});
    auto refused = leader.ProposeConfig(ConfigChange().Readmit(NodeId(2)));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kAlreadyMember);
    CHECK(refused.error().message().find("peer 2") != std::string::npos);
    CHECK(leader.ProposeConfig(ConfigChange().Readmit(NodeId(1))).error() == Errc::kAlreadyMember);
    CHECK(leader.ProposeConfig(ConfigChange().Readmit(NodeId(7))).error() == Errc::kNotMember);
    CHECK(leader->configuration() == Known({1, 2, 3}));
  }

  TEST_CASE("C17: a readmission ends by itself if the member returns with its old directory") {
    Server leader = Make();
    leader.Win({3});
    leader.Persist();
    leader.Replicate(3);
    auto ticket = leader.ProposeConfig(ConfigChange().Readmit(NodeId(2)));  // it has not replied to this leader
    REQUIRE(ticket.has_value());
    leader.Replicate(2);
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kRefused);
    CHECK(ticket.value()->refusal == Errc::kAlreadyMember);
    CHECK(leader->configuration() == Known({1, 2, 3}));
  }

  TEST_CASE("C17: the configuration records the directories of new members") {
    Server leader = Make();
    leader.Lead({2, 3});
    REQUIRE(leader.ProposeConfig(ConfigChange().AddVoter(MakePeer(4))).has_value());
    leader.Replicate(4);
    CHECK(leader->configuration().voters == Known({1, 2, 3, 4}).voters);
  }

  TEST_CASE("C17: each member bootstraps with the same entry, which names the directories of all") {
    std::vector<std::string> entries;
    for (uint64_t self : {1, 2}) {
      ServerSpec spec;
      spec.terms = {};
      CoreOptions options = OptionsOf(self, 10 * self);
      options.bootstraps = true;
      Server server(spec, options);
      CHECK(server->NextTick() == TimePoint::max());
      server->Bootstrap(Known({1, 2, 3}));
      server->CheckInvariants();
      server.Persist();
      CHECK(server->last_index() == Index(1));
      CHECK(server->term() == Term(1));
      CHECK(server->configuration() == Known({1, 2, 3}));
      CHECK(server->NextTick() < TimePoint::max());
      entries.emplace_back(server.disk.batches().front().bytes());
    }
    CHECK(entries[0] == entries[1]);
  }

  TEST_CASE("C17: a configuration with directories and witnesses survives encoding") {
    Configuration configuration = Known({1, 2, 3});
    configuration.voters[2].is_witness = true;
    configuration.learners.push_back(MakePeer(9));
    configuration.learners[0].incarnation = UINT64_MAX;
    configuration.data[NodeId(2)] = "zone a";
    const std::string stored = configuration.Encode();
    auto decoded = Configuration::Decode(stored);
    REQUIRE(decoded.has_value());
    CHECK(decoded.value() == configuration);
    for (size_t bytes = 0; bytes < stored.size(); ++bytes)
      CHECK_FALSE(Configuration::Decode(std::string_view(stored).substr(0, bytes)).has_value());
    std::string flags = stored;
    flags[1 + 2 + 8 + 2 + MakePeer(1).addr.text().size() + 8] = 2;  // flags of the first voter
    CHECK_FALSE(Configuration::Decode(flags).has_value());
  }
}

}  // namespace
}  // namespace ringraft::core
