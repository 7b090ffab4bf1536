// Catch-up of new voters, learners, leaders that leave, and other changes of members: §4.2.1, §4.2.2.
#include <doctest/doctest.h>

#include "cluster.h"
#include "server.h"

namespace ringraft::core {
namespace {

CoreOptions WithRounds(int rounds = 10) {
  CoreOptions options = TestOptions(1);
  options.catch_up_rounds = rounds;
  return options;
}

Server Leader(const Configuration& configuration = MakeConfiguration({1, 2, 3}), int rounds = 10) {
  ServerSpec spec;
  spec.configuration = configuration;
  Server leader(spec, WithRounds(rounds));
  leader.Lead();
  return leader;
}

Configuration WithLearners(std::initializer_list<uint64_t> voters, std::initializer_list<uint64_t> learners) {
  Configuration configuration = MakeConfiguration(voters);
  for (uint64_t id : learners) configuration.learners.push_back(MakePeer(id));
  return configuration;
}

// All entries of the leader are committed by itself and 2.
void Commit(Server& leader) {
  leader.Persist();
  leader.Replicate(2);
  REQUIRE(leader->commit_index() == leader->last_index());
}

// A round that takes `duration`, and leaves entries for the next.
void PlayRound(Server& leader, Duration duration) {
  auto request = leader.NextAppend(4);
  REQUIRE(request.has_value());
  leader.Propose();
  Commit(leader);
  leader.Advance(duration);
  leader.Acknowledge(*request);
}

const PeerStatus* Find(const std::vector<PeerStatus>& statuses, uint64_t id) {
  for (const PeerStatus& status : statuses) {
    if (status.peer.id == NodeId(id)) return &status;
  }
  return nullptr;
}

ConfigTicket Propose(Server& leader, const ConfigChange& change) {
  auto ticket = leader.ProposeConfig(change);
  REQUIRE_MESSAGE(ticket.has_value(), ticket.error().message());
  return ticket.value();
}

Errc Refusal(Server& leader, const ConfigChange& change) {
  const Index last = leader->last_index();
  auto ticket = leader.ProposeConfig(change);
  REQUIRE_FALSE(ticket.has_value());
  CHECK_FALSE(ticket.error().message().empty());
  CHECK(leader->last_index() == last);
  return ticket.error().code();
}

TEST_SUITE("4.2.1 catch-up of new voters") {
  TEST_CASE("a change enters the log and affects majorities only after the new voters have caught up") {
    Server leader = Leader();
    const Index before = leader->last_index();
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4), MakePeer(5)}, {}));
    CHECK(leader->last_index() == before);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
    CHECK(leader->configuration() == MakeConfiguration({1, 2, 3}));
    const auto statuses = leader->PeerStatuses(leader.now);
    CHECK(statuses.size() == 5);
    REQUIRE(Find(statuses, 4) != nullptr);
    CHECK(Find(statuses, 4)->is_catching_up);
    CHECK_FALSE(Find(statuses, 2)->is_catching_up);
    leader.Propose();
    Commit(leader);  // 1 and 2 are still a majority
    leader.Replicate(4);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);  // 5 has no entries
    leader.Replicate(5);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);
    CHECK(leader->configuration() == MakeConfiguration({1, 2, 3, 4, 5}, {1, 2, 3}));
    CHECK_FALSE(Find(leader->PeerStatuses(leader.now), 4)->is_catching_up);
    leader.Persist();
    for (uint64_t peer : {2, 4, 5}) leader.Replicate(peer);
    leader.Persist();
    for (uint64_t peer : {2, 4, 5}) leader.Replicate(peer);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kDone);
  }

  TEST_CASE("a round as long as an election timeout is followed by another; after ten the change is refused") {
    Server leader = Leader();
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4)}, {}));
    const Index before = leader->configuration_index();
    for (int round = 1; round <= 10; ++round) {
      CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
      PlayRound(leader, 300 * kMs);  // the minimum election timeout: too long
    }
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kRefused);
    CHECK(ticket->refusal == Errc::kTooSlowToCatchUp);
    CHECK(ticket->refusal.message().find("peer 4") != std::string::npos);
    CHECK(leader->configuration_index() == before);
    CHECK(leader->PeerStatuses(leader.now).size() == 3);
    CHECK_FALSE(leader.NextAppend(4).has_value());
    // Another change may begin.
    CHECK(leader->CheckConfig(Propose(leader, Change({MakePeer(4)}, {}))) == ConfigProgress::kCatchingUp);
  }

  TEST_CASE("the tenth round may still succeed") {
    Server leader = Leader();
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4)}, {}));
    for (int round = 1; round <= 9; ++round) PlayRound(leader, 300 * kMs);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
    PlayRound(leader, 299 * kMs);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);
  }

  TEST_CASE("B21: a silent new voter is abandoned after as many maximum election timeouts as there are rounds") {
    Server leader = Leader();
    leader.Replicate(3);
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4), MakePeer(5)}, {}));
    leader.Replicate(5);
    const TimePoint end = leader.now + 10 * 500 * kMs;
    while (leader.now < end) {
      CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
      for (uint64_t peer : {2, 3, 5}) leader.AnswerHeartbeat(peer);
      CHECK(leader->NextTick() <= end);
      leader.Advance(100 * kMs);
      leader->OnTick(leader.now);
    }
    CHECK(leader->is_leader());
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kRefused);
    CHECK(ticket->refusal == Errc::kTooSlowToCatchUp);
    CHECK(ticket->refusal.message().find("peer 4 at 127.0.0.1:7104 has not replied for 5000 ms") != std::string::npos);
  }

  TEST_CASE("C3: a change may be aborted only before it is in the log") {
    Server leader = Leader();
    CHECK(leader->AbortConfig(Errc::kChangeAborted).has_value());  // no change is in progress
    ConfigTicket ticket = Propose(leader, Change({MakePeer(4)}, {NodeId(3)}));
    CHECK(Refusal(leader, Change({MakePeer(5)}, {})) == Errc::kConfigInProgress);
    CHECK(leader->AbortConfig(Errc::kChangeAborted).has_value());
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kRefused);
    CHECK(ticket->refusal == Errc::kChangeAborted);
    CHECK(leader->PeerStatuses(leader.now).size() == 3);
    ticket = Propose(leader, Change({MakePeer(4)}, {}));
    leader.Replicate(4);
    REQUIRE(leader->configuration().is_joint());
    auto refused = leader->AbortConfig(Errc::kChangeAborted);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kConfigInProgress);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);
    Server follower;
    auto elsewhere = follower->AbortConfig(Errc::kChangeAborted);
    REQUIRE_FALSE(elsewhere.has_value());
    CHECK(elsewhere.error() == Errc::kNotLeader);
  }

  TEST_CASE("a leader that steps down during catch-up has changed nothing") {
    Server leader = Leader();
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4)}, {}));
    leader.Append(leader.AppendArgs(2, 3, 2, 2));
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kRefused);
    CHECK(ticket->refusal == Errc::kNotLeader);
  }

  TEST_CASE("A21: no change enters the log during a transfer; it does so after a failed transfer") {
    Server leader = Leader();
    leader.Replicate(3);
    const ConfigTicket ticket = Propose(leader, Change({MakePeer(4)}, {}));
    REQUIRE(leader->TransferLeadership(leader.now, NodeId(3), leader.now + 100 * kMs).has_value());
    leader.Replicate(4);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
    leader.Advance(100 * kMs);
    leader->OnTick(leader.now);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);
  }

  TEST_CASE("a removal waits for no server to catch up") {
    Server leader = Leader();
    CHECK(leader->CheckConfig(Propose(leader, Change({}, {NodeId(3)}))) == ConfigProgress::kPending);
    CHECK(leader->configuration() == MakeConfiguration({1, 2}, {1, 2, 3}));
  }
}

TEST_SUITE("learners") {
  TEST_CASE("C8: a learner gets all entries and counts for no majority") {
    Server leader = Leader();
    const ConfigTicket ticket = Propose(leader, ConfigChange().AddLearner(MakePeer(4)));
    CHECK(leader->configuration() == WithLearners({1, 2, 3}, {4}));  // one step: the voters stay the same
    leader.Persist();
    leader.Replicate(4);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);  // 1 and 4 are not a majority
    leader.Replicate(2);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kDone);
    CHECK(Find(leader->PeerStatuses(leader.now), 4)->kind == MemberKind::kLearner);
    // Replies of learners alone do not keep a leader in place.
    leader.Advance(600 * kMs);
    leader.Propose();
    leader.Replicate(4);
    leader->OnTick(leader.now);
    CHECK_FALSE(leader->is_leader());
  }

  TEST_CASE("A21, C10: a learner does not campaign, gets no vote request and takes over no leadership") {
    Server learner({.self = 4, .configuration = WithLearners({1, 2, 3}, {4})});
    CHECK(learner->NextTick() == TimePoint::max());
    AppendEntriesArgs timeout_now = learner.AppendArgs(1, 2, 1, 1, {}, 1);
    timeout_now.timeout_now = true;
    learner.Append(timeout_now);
    CHECK(learner->role() == Role::kFollower);
    Server candidate({.configuration = WithLearners({1, 2, 3}, {4})});
    CHECK(candidate.TimeOut().peers == std::vector<Peer>{MakePeer(2), MakePeer(3)});
    Server leader = Leader(WithLearners({1, 2, 3}, {4}));
    leader.Replicate(4);
    CHECK(leader->TransferLeadership(leader.now, NodeId(4), leader.now + kMs).error() == Errc::kInvalidArgument);
    leader.Advance(400 * kMs);
    leader.Propose();
    leader.Replicate(4);  // only the learner has replied recently
    CHECK(leader->BestSuccessor(leader.now) == NodeId(0));
  }

  TEST_CASE("C9: a learner that has not learned of its promotion grants its vote") {
    Server learner({.self = 4, .configuration = WithLearners({1, 2, 3}, {4})});
    CHECK(learner.Vote(learner.VoteArgs(2, 5, 2, 2)).vote_granted);
  }

  TEST_CASE("a promotion changes the voters, and waits until the learner has the log") {
    Server leader = Leader(WithLearners({1, 2, 3}, {4}));
    const ConfigTicket ticket = Propose(leader, ConfigChange().Promote(NodeId(4)));
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kCatchingUp);
    CHECK(Find(leader->PeerStatuses(leader.now), 4)->is_catching_up);
    leader.Replicate(4);
    CHECK(leader->configuration() == MakeConfiguration({1, 2, 3, 4}, {1, 2, 3}));
    leader.Persist();
    CHECK(leader->configuration().is_joint());  // of the old voters only 1 has it
    leader.Replicate(2);
    CHECK(leader->configuration() == MakeConfiguration({1, 2, 3, 4}));
    // A learner that already has the log is promoted at once.
    Server quick = Leader(WithLearners({1, 2, 3}, {4}));
    quick.Replicate(4);
    CHECK(quick->CheckConfig(Propose(quick, ConfigChange().Promote(NodeId(4)))) == ConfigProgress::kPending);
  }

  TEST_CASE("a demotion needs both majorities; replication to the demoted member never stops") {
    Server leader = Leader();
    leader.Replicate(3);
    Propose(leader, ConfigChange().Demote(NodeId(3)));
    Configuration joint = WithLearners({1, 2}, {3});
    joint.old_voters = MakeConfiguration({1, 2, 3}).voters;
    CHECK(leader->configuration() == joint);
    CHECK(Find(leader->PeerStatuses(leader.now), 3)->kind == MemberKind::kVoter);
    leader.Persist();
    leader.Replicate(3);  // 1 and 3 of the old voters have it, and 1 of the new ones
    CHECK(leader->commit_index() == Index(2));
    leader.Replicate(2);
    CHECK(leader->commit_index() == Index(3));
    CHECK(leader->configuration() == WithLearners({1, 2}, {3}));
    CHECK(leader->configuration().Members().size() == 3);
    CHECK(leader->LostMatches(NodeId(3)) == 0);
    CHECK(leader->PeerStatuses(leader.now)[2].match_index == Index(3));
  }

  TEST_CASE("A21, C6: a demoted leader leads until the change is committed, then transfers leadership") {
    Server leader = Leader();
    leader.Replicate(3);
    const ConfigTicket ticket = Propose(leader, ConfigChange().Demote(NodeId(1)));
    leader.Persist();
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);
    leader.Persist();
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kPending);  // C(new) is on 3, and on 1, which does not count
    CHECK_FALSE(leader->IsTransferring());
    leader.Replicate(2);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kDone);
    CHECK(leader->is_leader());
    CHECK(leader->IsTransferring());
    auto timeout_now = leader->NextTimeoutNow(leader.now);
    REQUIRE(timeout_now.has_value());
    CHECK(timeout_now->args.timeout_now);
    CHECK(timeout_now->args.leader_commit == leader->last_index());
    // No server takes over: it steps down all the same, and never campaigns again.
    leader.Advance(500 * kMs);
    leader->OnTick(leader.now);
    CHECK(leader->role() == Role::kFollower);
    CHECK(leader->NextTick() == TimePoint::max());
    CHECK(leader->IsMember());
  }

  TEST_CASE("C6: a leader that removes itself completes its callers' commands before it steps down (4.2.2)") {
    Server leader = Leader();
    leader.Replicate(3);
    Propose(leader, Change({}, {NodeId(1)}));
    leader.Persist();
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);  // C(old,new) is committed, C(new) appended
    leader.Persist();
    leader.Propose();  // after C(new)
    for (uint64_t peer : {2, 3}) leader.Acknowledge(*leader.NextAppend(peer));
    CHECK(leader->is_leader());
    CHECK_FALSE(leader->configuration().Contains(NodeId(1)));
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);
    CHECK(leader->commit_index() == leader->last_index());
    CHECK(leader->is_leader());
    auto timeout_now = leader->NextTimeoutNow(leader.now);
    REQUIRE(timeout_now.has_value());
    AppendEntriesResults results;
    results.term = leader->term();
    results.success = true;
    leader->OnHeartbeatReply(leader.now, timeout_now->ticket, results);
    CHECK(leader->role() == Role::kFollower);
  }
}

TEST_SUITE("4.2.2 a leader that removes itself") {
  TEST_CASE("C6: it steps down at its deadline, even if a majority responds and entries are uncommitted") {
    Server leader = Leader();
    leader.Replicate(3);
    Propose(leader, Change({}, {NodeId(1)}));
    leader.Persist();
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);
    auto request = leader.NextAppend(2);
    REQUIRE(request.has_value());
    leader.Propose();
    leader.Acknowledge(*request);  // C(new) is committed, the entry after it is not
    CHECK(leader->IsTransferring());
    CHECK_FALSE(leader->NextTimeoutNow(leader.now).has_value());
    leader.Advance(400 * kMs);
    for (uint64_t peer : {2, 3}) leader.AnswerHeartbeat(peer);
    leader.Advance(100 * kMs);
    leader->OnTick(leader.now);
    CHECK(leader->role() == Role::kFollower);
  }
}

TEST_SUITE("configuration changes") {
  TEST_CASE("a change based on another configuration is refused") {
    Server leader = Leader();
    CHECK(Refusal(leader, Change({}, {NodeId(3)}).BasedOn(Index(7))) == Errc::kConfigChanged);
    const Index base = leader->configuration_index();
    Propose(leader, ConfigChange().AddLearner(MakePeer(4)).BasedOn(base));
    Commit(leader);
    CHECK(Refusal(leader, ConfigChange().AddLearner(MakePeer(5)).BasedOn(base)) == Errc::kConfigChanged);
    Propose(leader, ConfigChange().AddLearner(MakePeer(5)).BasedOn(leader->configuration_index()));
  }

  TEST_CASE("a change of address leaves the rest of the member unchanged") {
    Server leader = Leader();
    leader.Replicate(3);
    const Peer moved(NodeId(3), Addr("127.0.0.1:9999"));
    const ConfigTicket ticket = Propose(leader, ConfigChange().SetAddr(moved.id, moved.addr));
    CHECK_FALSE(leader->configuration().is_joint());
    CHECK(*leader->configuration().Find(NodeId(3)) == moved);
    CHECK(Find(leader->PeerStatuses(leader.now), 3)->match_index == Index(2));  // its match index stays
    CHECK(leader.NextAppend(3)->peer == moved);
    Commit(leader);
    CHECK(leader->CheckConfig(ticket) == ConfigProgress::kDone);
    CHECK(leader->last_index() == ticket->index);  // the change is a single entry
    // Calls to the old address do not occupy the window of the new one.
    leader.Replicate(3);
    leader.Propose();
    while (leader.NextAppend(3)) leader.Propose();
    leader->OnCallsDropped(NodeId(3));
    CHECK(Find(leader->PeerStatuses(leader.now), 3)->inflight_bytes == 0);
    REQUIRE(leader.NextAppend(3).has_value());
  }

  TEST_CASE("D10: dropped calls do not send the whole log to a peer that has not replied yet") {
    Server leader({.terms = {1, 1, 1}});
    leader.Win();
    leader->OnCallsDropped(NodeId(2));
    auto probe = leader.NextAppend(2);
    REQUIRE(probe.has_value());
    CHECK(probe->args.prev_index == Index(3));
  }

  TEST_CASE("data is stored with the member and removed with it") {
    Server leader = Leader();
    Propose(leader, ConfigChange().AddLearner(MakePeer(4)).SetData(NodeId(4), "zone b").SetData(NodeId(2), "zone a"));
    CHECK(Find(leader->PeerStatuses(leader.now), 4)->data == "zone b");
    Commit(leader);
    leader.Restart();
    CHECK(leader->configuration().data == std::map<NodeId, std::string>{{NodeId(2), "zone a"}, {NodeId(4), "zone b"}});
    leader.Lead();
    Propose(leader, ConfigChange().Remove(NodeId(4)).SetData(NodeId(2), ""));
    CHECK(leader->configuration().data.empty());
  }

  TEST_CASE("C14: a contradictory change is refused with a specific error") {
    const Configuration old = WithLearners({1, 2}, {4});
    auto refusal = [&](const ConfigChange& change) {
      auto changed = old.Changed(change);
      REQUIRE_FALSE(changed.has_value());
      return changed.error();
    };
    CHECK(refusal(ConfigChange().Promote(NodeId(1))) == Errc::kAlreadyMember);
    CHECK(refusal(ConfigChange().Demote(NodeId(4))) == Errc::kAlreadyMember);
    CHECK(refusal(ConfigChange().AddLearner(MakePeer(4))) == Errc::kAlreadyMember);
    CHECK(refusal(ConfigChange().Promote(NodeId(5))) == Errc::kNotMember);
    CHECK(refusal(ConfigChange().SetAddr(NodeId(5), Addr("127.0.0.1:1"))) == Errc::kNotMember);
    CHECK(refusal(ConfigChange().SetData(NodeId(5), "x")) == Errc::kNotMember);
    CHECK(refusal(ConfigChange().Demote(NodeId(1)).Demote(NodeId(2))) == Errc::kEmptyConfig);
    CHECK(refusal(ConfigChange().Promote(NodeId(4)).Remove(NodeId(4))) == Errc::kInvalidArgument);
    CHECK(refusal(ConfigChange().SetAddr(NodeId(1), Addr("nowhere"))) == Errc::kInvalidArgument);
    CHECK(refusal(ConfigChange().SetAddr(NodeId(1), MakePeer(2).addr)) == Errc::kInvalidArgument);
    CHECK(refusal(ConfigChange().SetData(NodeId(1), std::string(4097, 'x'))) == Errc::kInvalidArgument);
    CHECK(refusal(ConfigChange().SetData(NodeId(1), "x").SetData(NodeId(1), "y")) == Errc::kInvalidArgument);
    // Two members may swap addresses.
    auto swapped =
        old.Changed(ConfigChange().SetAddr(NodeId(1), MakePeer(2).addr).SetAddr(NodeId(2), MakePeer(1).addr));
    REQUIRE(swapped.has_value());
    CHECK(swapped.value().Find(NodeId(1))->addr == MakePeer(2).addr);
  }

  TEST_CASE("a configuration with learners and data survives encoding; every truncation is refused") {
    Configuration configuration = WithLearners({1, 2}, {4, 5});
    configuration.old_voters = MakeConfiguration({1, 4}).voters;
    configuration.data = {{NodeId(4), std::string("\0x", 2)}, {NodeId(5), std::string(4096, 'y')}};
    const std::string command = configuration.Encode();
    auto decoded = Configuration::Decode(command);
    REQUIRE(decoded.has_value());
    CHECK(decoded.value() == configuration);
    for (size_t size = 0; size < command.size(); ++size) {
      CHECK_FALSE(Configuration::Decode(command.substr(0, size)).has_value());
    }
    CHECK_FALSE(Configuration::Decode(command + 'x').has_value());
    configuration.data[NodeId(9)] = "of a nonmember";
    CHECK_FALSE(Configuration::Decode(configuration.Encode()).has_value());
    configuration = WithLearners({1, 2}, {2});
    CHECK_FALSE(Configuration::Decode(configuration.Encode()).has_value());
    // Without learners and data it has the earlier format.
    CHECK(MakeConfiguration({1}).Encode()[0] == 1);
  }
}

TEST_SUITE("after a restart") {
  TEST_CASE("votes are withheld for the minimum election timeout, since a leader may have been in contact before") {
    CoreOptions options = TestOptions(1);
    options.is_restart = true;
    Server server({}, options);
    CHECK_FALSE(server.Vote(server.PreVoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK_FALSE(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK(server->term() == Term(1));  // it does not even adopt the term
    RequestVoteArgs transfer = server.VoteArgs(2, 5, 1, 1);
    transfer.is_transfer = true;
    server.Advance(299 * kMs);
    CHECK_FALSE(server.Vote(server.VoteArgs(2, 5, 1, 1)).vote_granted);
    CHECK(server.Vote(transfer).vote_granted);
    Server later({}, options);
    later.Advance(300 * kMs);
    CHECK(later.Vote(later.VoteArgs(2, 5, 1, 1)).vote_granted);
  }
}

}  // namespace
}  // namespace ringraft::core
