// The rules alone: violations that the library's nodes do not commit must be found.
#include "sim/oracle.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "core/core.h"
#include "node/identity.h"

namespace ringraft::sim {
namespace {

BatchRef OneEntry(uint64_t index, uint64_t term, const std::string& command) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kCommand, command);
  return builder.Seal(Index(index), Term(term), NodeId(1), GroupId(1), 0);
}

// Node 1, and its disk.
struct Fixture {
  Fixture() : world(1), oracle(world, [this](uint64_t node, uint64_t) { return node == 1 ? disk.get() : nullptr; }) {
    Replace(77);
  }
  // Replaces the disk by an empty one with that incarnation.
  void Replace(uint64_t incarnation) {
    disk = std::make_unique<SimDisk>(world, 1, oracle);
    Identity identity;
    identity.node = NodeId(1);
    identity.incarnation = incarnation;
    REQUIRE(disk->Store().Set(node::kIdentityKey, node::EncodeIdentity(identity, Options())));
  }
  void Vote(uint64_t term, uint64_t candidate) {
    HardState state;
    state.term = Term(term);
    state.vote = NodeId(candidate);
    REQUIRE(disk->Commit(state, std::nullopt, {}));
    RequestVoteArgs args;
    args.term = state.term;
    args.candidate_id = state.vote;
    RequestVoteResults results;
    results.term = state.term;
    results.vote_granted = true;
    oracle.OnVoteReply(1, args, results);
  }
  void Append(uint64_t index, uint64_t term, uint64_t prev_term) {
    AppendEntriesArgs args;
    args.prev_index = Index(index - 1);
    args.prev_term = Term(prev_term);
    args.entries.push_back(OneEntry(index, term, "x"));
    oracle.OnAppendRequest(1, args);
  }
  // Starts a node that has this state in memory.
  void Start(const HardState& state) {
    core::CoreOptions options;
    options.self = NodeId(1);
    options.group = GroupId(1);
    options.election_timeout_min = std::chrono::milliseconds(300);
    options.election_timeout_max = std::chrono::milliseconds(500);
    options.heartbeat_interval = std::chrono::milliseconds(50);
    options.catch_up_rounds = 0;
    RecoveredLog recovered = disk->Recover().value();
    recovered.hard_state = state;
    core = std::make_unique<core::Core>(options, recovered, Index(0), TimePoint());
    subject.id = 1;
    subject.core = core.get();
    subject.limits = &limits;
    subject.disk = disk.get();
    oracle.OnStarted(subject);
  }

  // Makes it the leader of a cluster with one member.
  void Lead() {
    core::Configuration alone;
    alone.voters.emplace_back(NodeId(1), Addr("10.0.0.1:7000"));
    BatchBuilder builder;
    builder.Add(LogEntryType::kConfiguration, alone.Encode());
    const BatchRef first = builder.Seal(Index(1), Term(1), NodeId(1), GroupId(1), 0);
    HardState state;
    state.term = Term(1);
    REQUIRE(disk->Commit(state, std::nullopt, {&first, 1}));
    Start(state);
    now += std::chrono::seconds(1);
    core->OnTick(now);
    Persist(true);
    REQUIRE(core->is_leader());
    REQUIRE(core->commit_index() == Index(2));
    oracle.OnTurn(subject);
    REQUIRE_FALSE(world.violation());
  }
  // Reports all writes to the core as persisted. They are on the disk only if `is_true`.
  void Persist(bool is_true) {
    while (core->HasWrite()) {
      const core::Write write = core->NextWrite(now);
      if (is_true) REQUIRE(disk->Commit(write.hard_state, write.truncate_after, write.batches));
      core->OnPersisted(now, write.number);
    }
  }

  World world;
  TimePoint now{};
  std::unique_ptr<SimDisk> disk;
  Oracle oracle;
  Limits limits;
  std::unique_ptr<core::Core> core;
  Oracle::Subject subject;
};

}  // namespace

TEST_SUITE_BEGIN("rules");

TEST_CASE("a restored backup that votes again in a term breaks a rule; an emptied disk is a different voter") {
  Fixture fixture;
  fixture.Vote(5, 2);
  SUBCASE("restored") {
    fixture.Replace(77);
    fixture.oracle.OnDiskReplaced(1);
    fixture.Vote(5, 3);
    CHECK(fixture.world.violation().rule == "a node votes once per term");
  }
  SUBCASE("emptied") {
    fixture.Replace(78);
    fixture.oracle.OnDiskReplaced(1);
    fixture.Vote(5, 3);
    CHECK_FALSE(fixture.world.violation());
  }
}

TEST_CASE("the same entry after two different ones breaks a rule, in messages and between a message and a disk") {
  Fixture fixture;
  fixture.Append(2, 3, 1);
  fixture.Append(2, 3, 1);
  REQUIRE_FALSE(fixture.world.violation());
  SUBCASE("in messages") { fixture.Append(2, 3, 2); }
  SUBCASE("on the disk") {
    const BatchRef batches[] = {OneEntry(1, 2, "y"), OneEntry(2, 3, "x")};
    REQUIRE(fixture.disk->Commit(std::nullopt, std::nullopt, batches));
  }
  CHECK(fixture.world.violation().rule == "an index and term identify one log prefix");
}

TEST_CASE("applying an uncommitted entry breaks a rule at the end of the turn") {
  Fixture fixture;
  fixture.Start(HardState());
  const BatchRef batch = OneEntry(1, 1, "x");
  REQUIRE(fixture.disk->Commit(std::nullopt, std::nullopt, {&batch, 1}));
  for (const LogEntry& entry : batch) fixture.oracle.OnApply(1, entry);
  REQUIRE_FALSE(fixture.world.violation());
  fixture.oracle.OnTurn(fixture.subject);
  CHECK(fixture.world.violation().rule == "only committed entries are applied");
}

TEST_CASE(
    "an entry committed in the turn that changes the members must be durable on a majority of the previous members") {
  Fixture fixture;
  fixture.Lead();
  BatchBuilder command;
  command.Add(LogEntryType::kCommand, "x");
  fixture.core->Propose(command, 0);
  bool is_durable = true;
  SUBCASE("it is") {}
  SUBCASE("it is not") { is_durable = false; }
  fixture.Persist(is_durable);
  REQUIRE(fixture.core->commit_index() == Index(3));
  ConfigChange change;
  change.AddVoter(Peer(NodeId(2), Addr("10.0.0.2:7000"))).Remove(NodeId(1));
  REQUIRE(fixture.core->ProposeConfig(change));
  REQUIRE(fixture.core->configuration().is_joint());  // node 2 has no entries yet
  fixture.oracle.OnTurn(fixture.subject);
  CHECK(fixture.world.violation().rule == (is_durable ? "" : "committed entries are durable on a majority"));
}

TEST_CASE("a node that starts with a different vote or a later term than its disk has breaks a rule") {
  Fixture fixture;
  HardState stored;
  stored.term = Term(5);
  stored.vote = NodeId(2);
  REQUIRE(fixture.disk->Commit(stored, std::nullopt, {}));
  HardState started = stored;
  SUBCASE("the same") {
    fixture.Start(started);
    CHECK_FALSE(fixture.world.violation());
  }
  SUBCASE("another vote") {
    started.vote = NodeId(3);
    fixture.Start(started);
    CHECK(fixture.world.violation().rule == "a restarted node has the term, vote and log of its disk");
  }
  SUBCASE("a later term") {
    started.term = Term(6);
    fixture.Start(started);
    CHECK(fixture.world.violation().rule == "a restarted node has the term, vote and log of its disk");
  }
}

TEST_SUITE_END();

}  // namespace ringraft::sim
