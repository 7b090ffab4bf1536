#include "server.h"

#include <doctest/doctest.h>

namespace ringraft::core {

Configuration MakeConfiguration(std::initializer_list<uint64_t> voters, std::initializer_list<uint64_t> old_voters) {
  Configuration configuration;
  for (uint64_t id : voters) configuration.voters.push_back(MakePeer(id));
  for (uint64_t id : old_voters) configuration.old_voters.push_back(MakePeer(id));
  return configuration;
}

ConfigChange Change(const std::vector<Peer>& added, const std::vector<NodeId>& removed) {
  ConfigChange change;
  for (const Peer& peer : added) change.AddVoter(peer);
  for (NodeId id : removed) change.Remove(id);
  return change;
}

BatchRef Commands(uint64_t first, uint64_t term, uint32_t count, uint64_t leader, const std::string& text) {
  BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) builder.Add(LogEntryType::kCommand, text);
  return builder.Seal(Index(first), Term(term), NodeId(leader), kGroup, 0);
}

BatchRef ConfigurationBatch(uint64_t index, uint64_t term, const Configuration& configuration, uint64_t leader) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, configuration.Encode());
  return builder.Seal(Index(index), Term(term), NodeId(leader), kGroup, 0);
}

void Disk::Commit(const Write& write) {
  if (write.hard_state) {
    REQUIRE(write.hard_state->term >= hard_state_.term);
    hard_state_ = *write.hard_state;
  }
  if (write.truncate_after) {
    REQUIRE(*write.truncate_after < history_.last_index());
    while (!batches_.empty() && batches_.back().last() > *write.truncate_after) {
      BatchRef last = batches_.back();
      batches_.pop_back();
      if (last.first() <= *write.truncate_after) batches_.push_back(last.Slice(last.first(), *write.truncate_after));
    }
    history_.TruncateAfter(*write.truncate_after);
  }
  for (const BatchRef& batch : write.batches) {
    REQUIRE(batch.first() == history_.last_index() + 1);
    batches_.push_back(batch);
    history_.Append(batch.last(), batch.term());
  }
}

RecoveredLog Disk::Recover() const {
  RecoveredLog recovered;
  recovered.hard_state = hard_state_;
  recovered.last_index = history_.last_index();
  recovered.terms = history_.runs();
  for (const BatchRef& batch : batches_) {
    if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) continue;
    for (const LogEntry& entry : batch) {
      if (entry.type != LogEntryType::kConfiguration) continue;
      recovered.configurations.push_back(StoredConfiguration{entry.index, std::string(entry.command)});
    }
  }
  return recovered;
}

std::vector<BatchRef> Disk::Read(Index from, size_t max_bytes) const {
  std::vector<BatchRef> read;
  size_t bytes = 0;
  for (const BatchRef& batch : batches_) {
    if (batch.last() < from) continue;
    if (!read.empty() && bytes + batch.size() > max_bytes) break;
    bytes += batch.size();
    read.push_back(batch);
  }
  return read;
}

CoreOptions TestOptions(uint64_t self) {
  CoreOptions options;
  options.self = NodeId(self);
  options.group = kGroup;
  options.election_timeout_min = 300 * kMs;
  options.election_timeout_max = 500 * kMs;
  options.heartbeat_interval = 50 * kMs;
  options.seed = 1;
  options.catch_up_rounds = 0;  // most tests are about what comes after it
  return options;
}

Server::Server(const ServerSpec& spec, std::optional<CoreOptions> given)
    : options(given.value_or(TestOptions(spec.self))) {
  Write founding;
  for (size_t i = 0; i < spec.terms.size(); ++i) {
    founding.batches.push_back(i == 0 ? ConfigurationBatch(1, spec.terms[0], spec.configuration, 99)
                                      : Commands(i + 1, spec.terms[i], 1, 99));
  }
  uint64_t last_term = spec.terms.empty() ? 0 : spec.terms.back();
  founding.hard_state = HardState{Term(spec.term != 0 ? spec.term : last_term), NodeId(spec.vote)};
  disk.Commit(founding);
  Restart(Index(spec.applied));
}

Server Server::Empty(uint64_t self) {
  ServerSpec spec;
  spec.self = self;
  spec.terms = {};
  return Server(spec);
}

void Server::Restart(Index applied) {
  taken.clear();
  RecoveredLog recovered = disk.Recover();
  auto checked = Core::CheckRecovered(recovered);
  REQUIRE(checked.has_value());
  core = std::make_unique<Core>(options, recovered, applied, now);
}

void Server::Take() {
  while (core->HasWrite()) taken.push_back(core->NextWrite(now));
}

void Server::FinishOne() {
  REQUIRE(!taken.empty());
  Write write = std::move(taken.front());
  taken.pop_front();
  disk.Commit(write);
  core->OnPersisted(now, write.number);
  core->CheckInvariants();
}

void Server::Persist() {
  Take();
  while (!taken.empty()) {
    FinishOne();
    Take();
  }
  core->CheckInvariants();
}

VoteRound Server::TimeOut() {
  REQUIRE(core->NextTick() != TimePoint::max());
  now = std::max(now, core->NextTick());
  core->OnTick(now);
  core->CheckInvariants();
  auto round = core->NextVoteRound();
  REQUIRE(round.has_value());
  return *round;
}

void Server::Win(std::initializer_list<uint64_t> voters) {
  VoteRound pre_vote = TimeOut();
  for (uint64_t voter : voters) {
    core->OnVoteReply(now, NodeId(voter), pre_vote.ticket, RequestVoteResults{core->term(), true, directories[voter]});
  }
  auto election = core->NextVoteRound();
  REQUIRE(election.has_value());
  Persist();
  for (uint64_t voter : voters) {
    core->OnVoteReply(now, NodeId(voter), election->ticket, RequestVoteResults{core->term(), true, directories[voter]});
  }
  REQUIRE(core->is_leader());
  core->CheckInvariants();
}

void Server::Lead(std::initializer_list<uint64_t> voters) {
  Win(voters);
  Persist();
  for (uint64_t voter : voters) Replicate(voter);
  REQUIRE(core->commit_index() == core->last_index());
}

AppendEntriesArgs Server::AppendArgs(uint64_t leader, uint64_t term, uint64_t prev_index, uint64_t prev_term,
                                     std::vector<BatchRef> entries, uint64_t commit) const {
  AppendEntriesArgs args;
  args.group = options.group;
  args.to = options.self;
  args.leader_id = NodeId(leader);
  args.term = Term(term);
  args.prev_index = Index(prev_index);
  args.prev_term = Term(prev_term);
  args.entries = std::move(entries);
  args.leader_commit = Index(commit);
  return args;
}

AppendEntriesResults Server::Append(const AppendEntriesArgs& args) {
  auto ticket = core->OnAppendEntries(now, args);
  REQUIRE_MESSAGE(ticket.has_value(), ticket.error().message());
  core->CheckInvariants();
  Persist();
  return core->FinishAppend(ticket.value());
}

RequestVoteArgs Server::VoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const {
  RequestVoteArgs args;
  args.group = options.group;
  args.to = options.self;
  args.candidate_id = NodeId(candidate);
  args.term = Term(term);
  args.last_index = Index(last_index);
  args.last_term = Term(last_term);
  return args;
}

RequestVoteArgs Server::PreVoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const {
  RequestVoteArgs args = VoteArgs(candidate, term, last_index, last_term);
  args.pre_vote = true;
  return args;
}

RequestVoteResults Server::Vote(const RequestVoteArgs& args) {
  VoteReply reply = core->OnRequestVote(now, args);
  core->CheckInvariants();
  Persist();
  CHECK(reply.gate <= core->persisted());
  return reply.results;
}

BatchRef Server::Propose(uint32_t count, const std::string& text) {
  BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) builder.Add(LogEntryType::kCommand, text);
  BatchRef batch = core->Propose(builder, 0);
  core->CheckInvariants();
  return batch;
}

std::optional<AppendRequest> Server::NextAppend(uint64_t peer) {
  while (true) {
    NextAppendResult next = core->NextAppend(NodeId(peer), now);
    core->CheckInvariants();
    if (auto* read = std::get_if<ReadRequest>(&next)) {
      core->OnRead(NodeId(peer), disk.Read(read->from, read->max_bytes));
      continue;
    }
    if (auto* append = std::get_if<AppendRequest>(&next)) return *append;
    return std::nullopt;
  }
}

void Server::Acknowledge(const AppendRequest& request) {
  AppendEntriesResults results;
  results.term = core->term();
  results.success = true;
  results.durable_match = request.ticket.last_index;
  results.incarnation = directories[request.ticket.peer.value()];
  results.is_witness = witnesses.contains(request.ticket.peer.value());
  core->OnAppendReply(now, request.ticket, results);
  core->CheckInvariants();
}

void Server::Refuse(const AppendRequest& request, uint64_t hint_index, uint64_t hint_term) {
  AppendEntriesResults results;
  results.term = core->term();
  results.conflict = ConflictHint{Index(hint_index), Term(hint_term)};
  results.incarnation = directories[request.ticket.peer.value()];
  core->OnAppendReply(now, request.ticket, results);
  core->CheckInvariants();
}

void Server::Replicate(uint64_t peer) {
  while (auto request = NextAppend(peer)) Acknowledge(*request);
}

void Server::Pass(Duration duration, Says two, Says three, std::set<uint64_t> who_answers) {
  for (const TimePoint end = now + duration; now < end;) {
    Advance(10 * kMs);
    for (const auto& [peer, says] : {std::pair(uint64_t{2}, two), std::pair(uint64_t{3}, three)}) {
      if (!core->is_leader()) break;
      if (!who_answers.contains(peer)) continue;
      auto heartbeat = core->NextHeartbeat(NodeId(peer), now);
      AppendEntriesResults results;
      results.term = core->term();
      results.success = true;
      results.priority = says.priority;
      results.is_disk_stalled = says.is_disk_stalled;
      core->OnHeartbeatReply(now, heartbeat->ticket, results);
    }
    if (core->NextTick() <= now) core->OnTick(now);
    core->CheckInvariants();
  }
}

std::vector<uint64_t> Server::Terms() {
  std::vector<uint64_t> terms;
  for (Index index(1); index <= core->last_index(); ++index) terms.push_back(core->TermAt(index).value());
  return terms;
}

size_t BringUpToDate(Server& leader, Server& follower) {
  size_t refused = 0;
  for (int steps = 0; steps < 1000; ++steps) {
    auto request = leader.NextAppend(follower.options.self.value());
    if (!request) return refused;
    AppendEntriesResults results = follower.Append(request->args);
    if (!results.success) ++refused;
    leader.core->OnAppendReply(leader.now, request->ticket, results);
    leader.core->CheckInvariants();
  }
  FAIL("the follower never catches up");
  return refused;
}

}  // namespace ringraft::core
