// The rules by themselves: what they must find although no node of ours does it.
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
struct Setting {
  Setting() : world(1), oracle(world, [this](uint64_t node, uint64_t) { return node == 1 ? disk.get() : nullptr; }) {
    Replace(77);
  }
  // By a disk of that directory, on which there is nothing.
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
  // As if it ran with these in its memory.
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

  // Alone in its cluster, with a term of its own.
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
  // The core is told so; is it true?
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

TEST_CASE("a restored backup that votes again in a term is found; an emptied disk is another voter") {
  Setting setting;
  setting.Vote(5, 2);
  SUBCASE("restored") {
    setting.Replace(77);
    setting.oracle.OnDiskReplaced(1);
    setting.Vote(5, 3);
    CHECK(setting.world.violation().rule == "one vote a node and term");
  }
  SUBCASE("emptied") {
    setting.Replace(78);
    setting.oracle.OnDiskReplaced(1);
    setting.Vote(5, 3);
    CHECK_FALSE(setting.world.violation());
  }
}

TEST_CASE("the same entry behind two different ones is found, on the wire and between wire and disk") {
  Setting setting;
  setting.Append(2, 3, 1);
  setting.Append(2, 3, 1);
  REQUIRE_FALSE(setting.world.violation());
  SUBCASE("on the wire") { setting.Append(2, 3, 2); }
  SUBCASE("on the disk") {
    const BatchRef batches[] = {OneEntry(1, 2, "y"), OneEntry(2, 3, "x")};
    REQUIRE(setting.disk->Commit(std::nullopt, std::nullopt, batches));
  }
  CHECK(setting.world.violation().rule == "one index and term, one log before it");
}

TEST_CASE("a machine that is given what is not committed is found at the end of the turn") {
  Setting setting;
  setting.Start(HardState());
  const BatchRef batch = OneEntry(1, 1, "x");
  REQUIRE(setting.disk->Commit(std::nullopt, std::nullopt, {&batch, 1}));
  for (const LogEntry& entry : batch) setting.oracle.OnApply(1, entry);
  REQUIRE_FALSE(setting.world.violation());
  setting.oracle.OnTurn(setting.subject);
  CHECK(setting.world.violation().rule == "only what is committed is applied");
}

TEST_CASE("what is committed in the turn that changes the members had to be durable on a majority of those before") {
  Setting setting;
  setting.Lead();
  BatchBuilder command;
  command.Add(LogEntryType::kCommand, "x");
  setting.core->Propose(command, 0);
  bool is_durable = true;
  SUBCASE("it was") {}
  SUBCASE("it was not") { is_durable = false; }
  setting.Persist(is_durable);
  REQUIRE(setting.core->commit_index() == Index(3));
  ConfigChange change;
  change.AddVoter(Peer(NodeId(2), Addr("10.0.0.2:7000"))).Remove(NodeId(1));
  REQUIRE(setting.core->ProposeConfig(change));
  REQUIRE(setting.core->configuration().is_joint());  // 2 has nothing yet
  setting.oracle.OnTurn(setting.subject);
  CHECK(setting.world.violation().rule == (is_durable ? "" : "committed is durable on a majority"));
}

TEST_CASE("a node that starts with another vote, or a later term, than its disk has is found") {
  Setting setting;
  HardState stored;
  stored.term = Term(5);
  stored.vote = NodeId(2);
  REQUIRE(setting.disk->Commit(stored, std::nullopt, {}));
  HardState started = stored;
  SUBCASE("the same") {
    setting.Start(started);
    CHECK_FALSE(setting.world.violation());
  }
  SUBCASE("another vote") {
    started.vote = NodeId(3);
    setting.Start(started);
    CHECK(setting.world.violation().rule == "a restarted node knows what its disk has");
  }
  SUBCASE("a later term") {
    started.term = Term(6);
    setting.Start(started);
    CHECK(setting.world.violation().rule == "a restarted node knows what its disk has");
  }
}

TEST_SUITE_END();

}  // namespace ringraft::sim
