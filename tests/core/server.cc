#include "server.h"

#include <doctest/doctest.h>

namespace ringraft::core {

Server::Server(const ServerSpec& spec, std::optional<CoreOptions> given)
    : options(given.value_or(TestOptions(spec.self))) {
  Write stored;
  for (size_t i = 0; i < spec.terms.size(); ++i) {
    stored.batches.push_back(i == 0 ? ConfigurationBatch(1, spec.terms[0], spec.configuration, 99)
                                    : Commands(i + 1, spec.terms[i], 1, 99));
  }
  uint64_t last_term = spec.terms.empty() ? 0 : spec.terms.back();
  stored.hard_state = HardState{Term(spec.term != 0 ? spec.term : last_term), NodeId(spec.vote)};
  REQUIRE(disk.Commit(stored) == "");
  Restart(Index(spec.applied));
}

Server Server::Empty(uint64_t self) {
  ServerSpec spec;
  spec.self = self;
  spec.terms = {};
  return Server(spec);
}

void Server::Restart(Index applied) {
  Crash();
  REQUIRE(Start(options, applied, now) == "");
}

void Server::FinishOne() {
  REQUIRE(!writing.empty());
  FinishWrites(now);
  REQUIRE(problem == "");
  core->CheckInvariants();
}

void Server::Persist() {
  Take();
  while (!writing.empty()) {
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

void Server::Pass(Duration duration, Reports two, Reports three, std::set<uint64_t> responsive) {
  for (const TimePoint end = now + duration; now < end;) {
    Advance(10 * kMs);
    for (const auto& [peer, reports] : {std::pair(uint64_t{2}, two), std::pair(uint64_t{3}, three)}) {
      if (core->is_leader() && responsive.contains(peer)) AnswerHeartbeat(peer, reports);
    }
    if (core->NextTick() <= now) core->OnTick(now);
    core->CheckInvariants();
  }
}

void Server::AnswerHeartbeat(uint64_t peer, Reports reports) {
  auto heartbeat = core->NextHeartbeat(NodeId(peer), now);
  REQUIRE(heartbeat.has_value());
  AppendEntriesResults results;
  results.term = core->term();
  results.success = true;
  results.incarnation = directories[peer];
  results.is_witness = witnesses.contains(peer);
  results.priority = reports.priority;
  results.is_disk_stalled = reports.is_disk_stalled;
  core->OnHeartbeatReply(now, heartbeat->ticket, results);
  core->CheckInvariants();
}

Result<ConfigTicket> Server::ProposeConfig(const ConfigChange& change) {
  core->OnTick(now);
  auto ticket = core->ProposeConfig(change);
  core->CheckInvariants();
  return ticket;
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
