// Witnesses: they vote and acknowledge, but store no commands and never lead.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

Configuration WithWitness(std::initializer_list<uint64_t> voters, uint64_t witness) {
  Configuration configuration = MakeConfiguration(voters);
  for (Member& voter : configuration.voters) voter.is_witness = voter.id == NodeId(witness);
  return configuration;
}

Server Leader() {
  ServerSpec spec;
  spec.configuration = WithWitness({1, 2, 3}, 3);
  Server leader(spec);
  leader.witnesses = {3};
  leader.Win({2});
  leader.Persist();
  return leader;
}

Server MakeWitness() {
  ServerSpec spec;
  spec.self = 3;
  spec.configuration = WithWitness({1, 2, 3}, 3);
  CoreOptions options = TestOptions(3);
  options.is_witness = true;
  return Server(spec, options);
}

TEST_SUITE("witnesses") {
  TEST_CASE("C8: a witness gets batch headers without commands, and its acknowledgement counts") {
    Server leader = Leader();
    leader.Replicate(3);
    leader.Propose(5, "a long command that a witness does not need");
    leader.Persist();
    auto request = leader.NextAppend(3);
    REQUIRE(request.has_value());
    REQUIRE(request->args.entries.size() == 1);
    const BatchRef& sent = request->args.entries[0];
    CHECK_FALSE(sent.has_commands());
    CHECK(sent.size() == BatchHeader::kSize);
    CHECK(sent.header().count == 5);
    CHECK(sent.last() == leader->last_index());
    CHECK(sent.term() == leader->term());
    CHECK(BatchRef::Decode(sent.bytes()).has_value());
    leader.Acknowledge(*request);
    CHECK(leader->commit_index() == leader->last_index());
    auto whole = leader.NextAppend(2);
    REQUIRE(whole.has_value());
    CHECK(whole->args.entries.back().has_commands());
  }

  TEST_CASE("C8: a witness gets only entries that are on the disk of a member that may lead") {
    for (bool is_on_own_disk : {true, false}) {
      Server leader = Leader();
      for (uint64_t peer : {2, 3}) leader.Replicate(peer);
      leader.Propose(2);
      CHECK_FALSE(leader.NextAppend(3).has_value());
      is_on_own_disk ? leader.Persist() : leader.Replicate(2);
      auto request = leader.NextAppend(3);
      REQUIRE(request.has_value());
      CHECK(request->args.entries.back().last() == leader->last_index());
    }
  }

  TEST_CASE("C8: a witness elects a leader again that crashed before its own flush") {
    Server leader = Leader();
    Server witness = MakeWitness();
    BringUpToDate(leader, witness);
    leader.Propose();
    leader.Take();  // it never reaches the disk
    BringUpToDate(leader, witness);
    leader.Restart();
    witness.Advance(2000 * kMs);
    const uint64_t last = leader->last_index().value();
    const uint64_t term = leader->term().value();
    CHECK(witness.Vote(witness.PreVoteArgs(1, term + 1, last, term)).vote_granted);
  }

  TEST_CASE("C8: a configuration reaches a witness unchanged") {
    Server leader = Leader();
    for (uint64_t peer : {2, 3}) leader.Replicate(peer);
    REQUIRE(leader.ProposeConfig(ConfigChange().SetData(NodeId(2), "x")).has_value());
    leader.Persist();
    auto request = leader.NextAppend(3);
    REQUIRE(request.has_value());
    CHECK(request->args.entries.back().has_commands());
    Server witness = MakeWitness();
    CHECK(BringUpToDate(leader, witness) == 0);
  }

  TEST_CASE("C8, C10: a witness stores batches without commands, votes by them and never campaigns") {
    Server leader = Leader();
    Server witness = MakeWitness();
    leader.Propose(3);
    leader.Persist();
    BringUpToDate(leader, witness);
    CHECK(witness->last_index() == leader->last_index());
    CHECK(witness->NextTick() == TimePoint::max());
    witness.Advance(2000 * kMs);
    witness->OnTick(witness.now);
    CHECK(witness->role() == Role::kFollower);
    const uint64_t last = leader->last_index().value();
    const uint64_t term = leader->term().value();
    CHECK_FALSE(witness.Vote(witness.VoteArgs(2, term + 1, last - 1, term)).vote_granted);
    CHECK(witness.Vote(witness.VoteArgs(2, term + 2, last, term)).vote_granted);
    witness.Restart();
    CHECK(witness->last_index() == leader->last_index());
    CHECK(witness->TermAt(witness->last_index()) == leader->term());
  }

  TEST_CASE("C8: no other member accepts a batch without commands") {
    Server follower;
    const BatchRef batch = Commands(2, 1, 3, 2).WithoutCommands();
    auto refused = follower->OnAppendEntries(follower.now, follower.AppendArgs(2, 1, 1, 1, {batch}));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kProtocol);
    CHECK(follower->last_index() == Index(1));
  }

  TEST_CASE("A21: leadership is not transferred to a witness") {
    Server leader = Leader();
    leader.Replicate(3);
    const TimePoint deadline = leader.now + 1000 * kMs;
    CHECK(leader->TransferLeadership(leader.now, NodeId(3), deadline).error() == Errc::kInvalidArgument);
    CHECK(leader->BestSuccessor(leader.now) == NodeId(2));  // although 3 has more of the log
  }

  TEST_CASE("C14: witnesses are fewer than a majority of the voters") {
    const Configuration two = WithWitness({1, 2, 3}, 3);
    auto refused = two.Changed(ConfigChange().AddWitness(MakePeer(4)).Remove(NodeId(2)));  // 1 of 3 would have commands
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == Errc::kInvalidArgument);
    CHECK(refused.error().message().find("2 witnesses") != std::string::npos);
    CHECK(two.Changed(ConfigChange().AddWitness(MakePeer(4)).AddVoter(MakePeer(5))).has_value());  // 2 of 5
    CHECK(MakeConfiguration({1}).Changed(ConfigChange().AddWitness(MakePeer(2))).has_value());
  }

  TEST_CASE("a witness can be neither promoted nor demoted") {
    const Configuration configuration = WithWitness({1, 2, 3}, 3);
    CHECK(configuration.Changed(ConfigChange().Promote(NodeId(3))).error() == Errc::kInvalidArgument);
    CHECK(configuration.Changed(ConfigChange().Demote(NodeId(3))).error() == Errc::kInvalidArgument);
    CHECK(configuration.Changed(ConfigChange().Remove(NodeId(3))).has_value());
  }

  TEST_CASE("C17: the directory of a witness cannot become that of a voter, nor the reverse") {
    for (bool is_witness_directory : {true, false}) {
      CoreOptions options = TestOptions(1);
      options.catch_up_rounds = 10;
      Server leader(ServerSpec(), options);
      leader.Lead();
      leader.directories[4] = 40;
      if (is_witness_directory) leader.witnesses = {4};
      const ConfigChange voter = ConfigChange().AddVoter(MakePeer(4));
      const ConfigChange witness = ConfigChange().AddWitness(MakePeer(4));
      auto ticket = leader.ProposeConfig(is_witness_directory ? voter : witness);
      REQUIRE(ticket.has_value());
      leader.Replicate(4);
      CHECK(leader->CheckConfig(ticket.value()) == ConfigProgress::kRefused);
      CHECK(ticket.value()->refusal == Errc::kInvalidArgument);
      auto right = leader.ProposeConfig(is_witness_directory ? witness : voter);
      REQUIRE(right.has_value());
      leader.Replicate(4);
      CHECK(leader->CheckConfig(right.value()) == ConfigProgress::kPending);
      CHECK(leader->configuration().IsWitness(NodeId(4)) == is_witness_directory);
    }
  }
}

}  // namespace
}  // namespace ringraft::core
