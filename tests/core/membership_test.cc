// Configuration changes by joint consensus: §4.1 to §4.3, and known hazards of membership (C1 to C18 in
// tests/CATALOGUE.md).
#include <doctest/doctest.h>

#include "cluster.h"
#include "server.h"

namespace ringraft::core {
namespace {

using Added = std::vector<Peer>;
using Removed = std::vector<NodeId>;

TEST_SUITE("4.3 joint consensus") {
  TEST_CASE("C2: C(old,new) takes effect at once and needs both majorities; C(new) follows its commit") {
    Server leader;
    leader.Lead();
    auto ticket = leader->ProposeConfig(Change(Added{MakePeer(4), MakePeer(5)}, Removed{NodeId(2)}));
    REQUIRE(ticket.has_value());
    CHECK(leader->configuration().is_joint());  // effective when appended
    CHECK(leader->configuration_index() == Index(3));
    CHECK(leader->PeerStatuses(leader.now).size() == 5);
    leader.Persist();
    leader.Replicate(4);
    leader.Replicate(5);  // of the new {1, 3, 4, 5}: 1, 4, 5; of the old {1, 2, 3}: 1
    CHECK(leader->commit_index() == Index(2));
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kPending);
    leader.Replicate(2);
    CHECK(leader->commit_index() == Index(3));
    CHECK_FALSE(leader->configuration().is_joint());
    CHECK(leader->configuration() == MakeConfiguration({1, 3, 4, 5}));
    CHECK(leader->configuration_index() == Index(4));
    CHECK_FALSE(leader.NextAppend(2).has_value());  // 2 has left
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kPending);
    leader.Persist();
    leader.Replicate(4);
    CHECK(leader->commit_index() == Index(3));
    leader.Replicate(5);
    CHECK(leader->commit_index() == Index(4));
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kDone);
  }

  TEST_CASE("C3: the commit of an entry before C(old,new) does not append C(new)") {
    Server leader;
    leader.Lead();
    const Index entry = leader.Propose().last();
    leader.Persist();
    auto append = leader.NextAppend(2);
    REQUIRE(append.has_value());
    REQUIRE(leader->ProposeConfig(Change(Added{}, Removed{NodeId(3)})).has_value());
    leader.Acknowledge(*append);
    REQUIRE(leader->commit_index() == entry);
    CHECK(leader->configuration().is_joint());
    CHECK(leader->last_index() == entry + 1);
    leader.Persist();
    leader.Replicate(2);
    CHECK(leader->last_index() == entry + 2);
    CHECK_FALSE(leader->configuration().is_joint());
  }

  TEST_CASE("C3: one change at a time") {
    Server leader;
    leader.Lead();
    REQUIRE(leader->ProposeConfig(Change(Added{MakePeer(4)}, Removed{})).has_value());
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{MakePeer(5)}, Removed{}))) == Errc::kConfigInProgress);
    leader.Persist();
    for (uint64_t peer : {2, 4}) leader.Replicate(peer);
    REQUIRE_FALSE(leader->configuration().is_joint());
    leader->CheckInvariants();
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{MakePeer(5)}, Removed{}))) ==
          Errc::kConfigInProgress);  // C(new) not committed
    leader.Persist();
    for (uint64_t peer : {2, 4}) leader.Replicate(peer);
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{MakePeer(5)}, Removed{}))) == Errc::kOk);
  }

  TEST_CASE("C2: a change that would leave a silent majority is refused; one that replaces the silent member is not") {
    Server leader;
    leader.Lead({2, 3});
    leader.Pass(leader.options.election_timeout_max, {}, {}, /*responsive=*/{3});
    REQUIRE(leader->is_leader());
    const Index last = leader->last_index();
    auto refused = leader->ProposeConfig(Change(Added{}, Removed{NodeId(3)}));  // leaves 1 and 2
    CHECK(CodeOf(refused) == Errc::kNoQuorum);
    CHECK(refused.error().message().find("silent: 2") != std::string::npos);
    CHECK(leader->last_index() == last);
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{}, Removed{NodeId(2)}))) == Errc::kOk);  // leaves 1 and 3
  }

  TEST_CASE("C2: a member that has not replied since the election does not yet count as silent") {
    ServerSpec spec;
    for (Member& voter : spec.configuration.voters) voter.incarnation = 10 + voter.id.value();
    CoreOptions options = TestOptions(1);
    options.incarnation = 11;
    Server leader(spec, options);
    leader.directories = {{2, 12}, {3, 13}};
    leader.Lead({2});
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{}, Removed{NodeId(2)}))) == Errc::kOk);  // leaves 1 and 3
  }

  TEST_CASE("C2: a majority that falls silent while new voters catch up ends the change without effect") {
    ServerSpec spec;
    spec.configuration = MakeConfiguration({1, 2, 3, 4, 5});
    CoreOptions options = TestOptions(1);
    options.catch_up_rounds = 10;
    Server leader(spec, options);
    leader.Lead({2, 3, 4, 5});
    auto ticket = leader->ProposeConfig(Change(Added{MakePeer(6)}, Removed{NodeId(4), NodeId(5)}));
    REQUIRE(ticket.has_value());
    const Index last = leader->last_index();
    for (Duration passed{}; passed <= options.election_timeout_max; passed += 10 * kMs) {
      leader.Advance(10 * kMs);
      for (uint64_t peer : {4, 5}) leader.AnswerHeartbeat(peer);  // 2 and 3 are silent: of 1, 2, 3 and 6, half respond
      leader->OnTick(leader.now);
    }
    REQUIRE(leader->is_leader());
    leader.Replicate(6);
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kRefused);
    CHECK(ticket.value()->refusal == Errc::kNoQuorum);
    CHECK(leader->last_index() == last);
    CHECK(leader->configuration() == spec.configuration);
  }

  TEST_CASE("C1: no change before an entry of the leader's own term is committed") {
    Server leader;
    leader.Win();
    leader.Persist();
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}))) == Errc::kConfigInProgress);
    Server again({.applied = 1});  // even if it knows that all earlier entries are committed
    again.Win();
    CHECK(CodeOf(again->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}))) == Errc::kConfigInProgress);
    again.Persist();
    again.Replicate(2);
    CHECK(CodeOf(again->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}))) == Errc::kOk);
  }

  TEST_CASE("a follower refuses a change and names the leader") {
    Server server;
    server.Append(server.AppendArgs(2, 3, 1, 1));
    auto refused = server->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kNotLeader);
    CHECK(refused.error().leader() == MakePeer(2));
  }

  TEST_CASE("C14: a contradictory change leaves no trace") {
    Server leader;
    leader.Lead();
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{}, Removed{NodeId(1), NodeId(2), NodeId(3)}))) ==
          Errc::kEmptyConfig);
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{MakePeer(2)}, Removed{}))) == Errc::kAlreadyMember);
    CHECK(CodeOf(leader->ProposeConfig(Change(Added{}, Removed{NodeId(8)}))) == Errc::kNotMember);
    CHECK(leader->last_index() == Index(2));
  }

  TEST_CASE("C4: truncating a configuration restores the one before it") {
    Server server;
    server.Append(
        server.AppendArgs(2, 2, 1, 1, {ConfigurationBatch(2, 2, MakeConfiguration({2, 3, 4}, {1, 2, 3}), 2)}));
    CHECK(server->configuration().is_joint());
    server.Append(server.AppendArgs(3, 3, 1, 1, {Commands(2, 3, 1, 3)}));
    CHECK(server->configuration() == MakeConfiguration({1, 2, 3}));
    CHECK(server->configuration_index() == Index(1));
    CHECK(server->IsMember());
    VoteRound round = server.TimeOut();
    CHECK(round.peers.size() == 2);
    server.Restart();
    CHECK(server->configuration() == MakeConfiguration({1, 2, 3}));
  }

  TEST_CASE("C5, C7: a new leader completes an inherited joint configuration, uncommitted or committed, once") {
    for (uint64_t applied : {1, 2}) {
      ServerSpec spec;
      spec.applied = 1;
      Server leader(spec);
      // As a follower it received C(old,new), in one case with its commit.
      leader.Append(leader.AppendArgs(2, 2, 1, 1,
                                      {ConfigurationBatch(2, 2, MakeConfiguration({1, 3, 4}, {1, 2, 3}), 2)}, applied));
      leader.Advance(500 * kMs);
      leader.Win({3});
      CHECK(leader->configuration().is_joint());
      leader.Persist();
      leader.Replicate(3);
      CHECK(leader->commit_index() == Index(3));  // its no-op commits C(old,new)
      CHECK(leader->configuration() == MakeConfiguration({1, 3, 4}));
      CHECK(leader->configuration_index() == Index(4));
      leader.Persist();
      leader.Replicate(3);
      CHECK(leader->commit_index() == Index(4));
      CHECK(leader->last_index() == Index(4));  // C(new) once
    }
  }

  TEST_CASE("C2: an election in a joint configuration needs both majorities") {
    Server server;
    server.Append(
        server.AppendArgs(2, 2, 1, 1, {ConfigurationBatch(2, 2, MakeConfiguration({1, 4, 5}, {1, 2, 3}), 2)}));
    VoteRound round = server.TimeOut();
    CHECK(round.peers.size() == 4);
    server->OnVoteReply(server.now, NodeId(4), round.ticket, RequestVoteResults{Term(2), true});
    server->OnVoteReply(server.now, NodeId(5), round.ticket, RequestVoteResults{Term(2), true});
    CHECK(server->role() == Role::kPreCandidate);
    server->OnVoteReply(server.now, NodeId(3), round.ticket, RequestVoteResults{Term(2), true});
    CHECK(server->role() == Role::kCandidate);
  }

  TEST_CASE(
      "C6: a leader that removes itself does not count itself, leads until C(new) is committed, then steps down for "
      "good") {
    Server leader;
    leader.Lead();
    auto ticket = leader->ProposeConfig(Change(Added{}, Removed{NodeId(1)}));
    leader.Persist();
    leader.Replicate(2);
    CHECK(leader->commit_index() == Index(2));  // of the new {2, 3} only 2 has it; the leader does not count
    while (leader->commit_index() < Index(3)) leader.Acknowledge(*leader.NextAppend(3));
    CHECK(leader->commit_index() == Index(3));
    CHECK(leader->configuration() == MakeConfiguration({2, 3}));
    CHECK(leader->is_leader());
    leader.Persist();
    leader.Replicate(2);
    CHECK(leader->is_leader());
    leader.Propose();  // it still accepts commands
    auto last = leader.NextAppend(3);
    leader.Acknowledge(*last);
    leader.Replicate(2);
    CHECK(leader->commit_index() == leader->last_index());
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kDone);
    CHECK(leader->IsTransferring());  // if no server takes over in time:
    leader.Advance(500 * kMs);
    leader->OnTick(leader.now);
    CHECK(leader->role() == Role::kFollower);
    CHECK_FALSE(leader->IsMember());
    CHECK(leader->NextTick() == TimePoint::max());
    leader->OnTick(leader.now + std::chrono::hours(1));
    CHECK(leader->role() == Role::kFollower);
  }

  TEST_CASE(
      "C6: a server removed by a configuration that may not be committed still campaigns, and may be the only one that "
      "can win (4.2.2)") {
    Server server;
    server.Append(server.AppendArgs(2, 2, 1, 1,
                                    {ConfigurationBatch(2, 2, MakeConfiguration({3, 4}, {1, 2, 3}), 2),
                                     ConfigurationBatch(3, 2, MakeConfiguration({3, 4}), 2)},
                                    2));
    CHECK_FALSE(server->IsMember());
    server.Win({3, 4});
    server.Persist();
    server.Replicate(3);
    CHECK(server->commit_index() == Index(2));
    server.Replicate(4);
    CHECK(server->commit_index() == Index(4));
    server.Advance(500 * kMs);
    server->OnTick(server.now);  // no server has taken over
    CHECK(server->role() == Role::kFollower);
    CHECK(server->NextTick() == TimePoint::max());
  }

  TEST_CASE("C9, C10, C11: a server in no configuration of its log never campaigns, but votes") {
    Server server = Server::Empty(4);
    CHECK(server->NextTick() == TimePoint::max());
    server.Advance(std::chrono::hours(1));
    server->OnTick(server.now);
    CHECK(server->role() == Role::kFollower);
    server.Append(server.AppendArgs(2, 2, 0, 0, {ConfigurationBatch(1, 1, MakeConfiguration({1, 2, 3}), 9)}));
    server.Advance(std::chrono::hours(1));
    server->OnTick(server.now);
    CHECK(server->role() == Role::kFollower);
    CHECK(server.Vote(server.VoteArgs(3, 5, 1, 1)).vote_granted);
  }

  TEST_CASE(
      "A18: after a restart while servers are added the newest configuration counts, not an older one of itself "
      "alone") {
    Server server({.configuration = MakeConfiguration({1})});
    server.now = server->NextTick();
    server->OnTick(server.now);
    server.Persist();
    REQUIRE(server->ProposeConfig(Change(Added{MakePeer(2), MakePeer(3)}, Removed{})).has_value());
    server.Persist();
    server.Restart();
    CHECK(server->configuration() == MakeConfiguration({1, 2, 3}, {1}));
    VoteRound round = server.TimeOut();
    CHECK(round.peers.size() == 2);
    CHECK(server->role() == Role::kPreCandidate);
  }

  TEST_CASE("a change has an unknown outcome if its entry was overwritten or its leader stepped down") {
    Server leader;
    leader.Lead();
    auto ticket = leader->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}));
    leader.Persist();
    leader.Append(leader.AppendArgs(2, 3, 3, 2));
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kLost);
    leader.Append(leader.AppendArgs(2, 3, 3, 2, {ConfigurationBatch(4, 3, MakeConfiguration({1, 2, 3, 4}), 2)}, 4));
    CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kDone);  // completed by another leader
    Server other;
    other.Lead();
    ticket = other->ProposeConfig(Change(Added{MakePeer(4)}, Removed{}));
    other.Persist();
    other.Append(other.AppendArgs(2, 3, 2, 2, {Commands(3, 3, 1, 2)}, 3));
    CHECK(other->CheckConfig(ticket.value()) == ConfigProgress::kLost);
  }

  TEST_CASE("an added server starts with an empty log and gets all entries") {
    ClusterOptions options;
    options.servers = 4;
    options.initial = 1;
    Cluster cluster(options);
    REQUIRE(cluster.RunUntil([&] { return cluster.IsSettled(); }, std::chrono::seconds(5)));
    for (int i = 0; i < 30; ++i) cluster.Propose(1);
    auto ticket = cluster.ChangeConfig(1, {MakePeer(2), MakePeer(3), MakePeer(4)}, {});
    REQUIRE(ticket.has_value());
    REQUIRE(cluster.RunUntil([&] { return cluster.IsSettled(); }, std::chrono::seconds(5)));
    CHECK(cluster.core(1).CheckConfig(ticket.value()) == ConfigProgress::kDone);
    CHECK(cluster.core(4).configuration().voters.size() == 4);
    CHECK(cluster.leaderships() == 1);
  }

  TEST_CASE("C16: a removed server that never learns of its removal does not disrupt the leader") {
    ClusterOptions options;
    Cluster cluster(options);
    REQUIRE(cluster.RunUntil([&] { return cluster.IsSettled(); }, std::chrono::seconds(5)));
    uint64_t leader = cluster.Leader();
    uint64_t removed = leader % 3 + 1;
    for (uint64_t id = 1; id <= 3; ++id) cluster.Cut(id, removed);
    REQUIRE(cluster.ChangeConfig(leader, {}, {NodeId(removed)}).has_value());
    cluster.RunFor(std::chrono::seconds(2));
    cluster.HealNetwork();
    Term term = cluster.newest_term();
    cluster.RunFor(std::chrono::seconds(60));
    CHECK(cluster.newest_term() == term);
    CHECK(cluster.Leader() == leader);
    CHECK(cluster.core(leader).configuration().voters.size() == 2);
  }
}

}  // namespace
}  // namespace ringraft::core
