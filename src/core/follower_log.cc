// Appends as a follower: paper, Figure 2, "AppendEntries RPC, receiver implementation"; §3.5.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "core/state.h"

namespace ringraft::core {
namespace {

Error Protocol(const std::string& what) { return Error(Errc::kProtocol, "append refused: " + what); }
std::string Text(Index index) { return std::to_string(index.value()); }
std::string Text(Term term) { return std::to_string(term.value()); }
std::string Text(NodeId id) { return std::to_string(id.value()); }

// A configuration that cannot be read must not get into the log: it could never be got out again.
Result<void> CheckConfigurations(const BatchRef& batch) {
  if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) return Success();
  for (const LogEntry& entry : batch) {
    if (entry.type != LogEntryType::kConfiguration) continue;
    auto configuration = Configuration::Decode(entry.command);
    if (!configuration) return Protocol("entry " + Text(entry.index) + ": " + configuration.error().message());
  }
  return Success();
}

// The batches follow `prev` without a gap, and their terms ascend from it up to the sender's.
Result<void> CheckBatches(const AppendEntriesArgs& args, bool is_witness) {
  Index last = args.prev_index;
  Term last_term = args.prev_term;
  for (const BatchRef& batch : args.entries) {
    if (!batch) return Protocol("a batch is missing");
    const BatchHeader& header = batch.header();
    if (header.base_index != last + 1 || header.count == 0 || header.count > kMaxNumber - last.value()) {
      return Protocol("a batch of " + std::to_string(header.count) + " entries from index " + Text(header.base_index) +
                      " does not follow index " + Text(last));
    }
    if (header.term == Term(0) || header.term < last_term || header.term > args.term) {
      return Protocol("the batch at index " + Text(header.base_index) + " has term " + Text(header.term) +
                      ", not between " + Text(last_term) + " and " + Text(args.term));
    }
    if (header.group != args.group)
      return Protocol("the batch at index " + Text(header.base_index) + " is of another group");
    if (header.term == args.term && header.leader != args.leader_id) {
      return Protocol("the batch at index " + Text(header.base_index) + " was made by node " + Text(header.leader) +
                      " in the term of leader " + Text(args.leader_id));
    }
    if (!batch.has_commands() && !is_witness)
      return Protocol("the batch at index " + Text(header.base_index) + " is without commands, and this is no witness");
    auto configurations = CheckConfigurations(batch);
    if (!configurations) return configurations.error();
    last = batch.last();
    last_term = header.term;
  }
  return Success();
}

}  // namespace

// What no correct leader sends is refused before anything changes (I9).
Result<void> Core::State::CheckAppend(const AppendEntriesArgs& args) const {
  if (args.group != options.group) return Protocol("it is for group " + std::to_string(args.group.value()));
  if (args.to != options.self)
    return Protocol("it is for node " + Text(args.to) + ", this is node " + Text(options.self));
  if (args.leader_id == NodeId(0) || args.leader_id == options.self) {
    return Protocol("node " + Text(args.leader_id) + " cannot be its sender");
  }
  if (args.term == Term(0) || args.term.value() > kMaxNumber)
    return Protocol("term " + Text(args.term) + " is impossible");
  if (args.prev_index.value() > kMaxNumber || args.leader_commit.value() > kMaxNumber) {
    return Protocol("index " + Text(std::max(args.prev_index, args.leader_commit)) + " is impossible");
  }
  if ((args.prev_index == Index(0)) != (args.prev_term == Term(0)) || args.prev_term > args.term) {
    return Protocol("entry " + Text(args.prev_index) + " cannot have term " + Text(args.prev_term));
  }
  // §3.2, election safety: at most one leader a term.
  const bool is_other_leader = leader != NodeId(0) && leader != args.leader_id;
  if (args.term == term && is_other_leader) {
    return Protocol("term " + Text(term) + " has leader " + Text(leader) + ", not " + Text(args.leader_id));
  }
  return CheckBatches(args, options.is_witness);
}

Result<AppendTicket> Core::OnAppendEntries(TimePoint now, const AppendEntriesArgs& args) {
  State& s = *state_;
  s.See(now);
  auto checked = s.CheckAppend(args);
  if (!checked) return checked.error();

  AppendTicket ticket;
  if (args.term < s.term) {  // rule 1: an older leader learns the new term (A14, A15)
    ticket.gate = s.persistence.HardStateGate();
    ticket.term = s.term;
    return ticket;
  }
  // A leader of our term or a newer one: whatever we were, we follow it now.
  s.BecomeFollower(args.term, args.leader_id);
  s.leader_contact = s.now;
  s.led_by_somebody = s.now;
  s.ResetElectionTimer();
  ticket.term = s.term;

  if (!s.history.Match(args.prev_index, args.prev_term)) {  // rule 2: log matching
    LogPosition candidate = s.history.LastNotAfter(args.prev_index, args.prev_term);
    ticket.gate = s.persistence.HardStateGate();
    ticket.conflict = ConflictHint{candidate.index, candidate.term};
    return ticket;
  }
  for (const BatchRef& batch : args.entries) {  // rules 3 and 4
    auto appended = s.AppendFromLeader(batch);
    if (!appended) return appended.error();
  }
  ticket.accepted = true;
  ticket.verified = args.entries.empty() ? args.prev_index : args.entries.back().last();
  s.verified = std::max(s.verified, ticket.verified);
  // Rule 5, with B2: what lies behind the verified prefix may be another leader's.
  s.AdvanceCommit(std::min(args.leader_commit, ticket.verified));
  // A heartbeat never waits for data, since its answer names only what is durable at that time.
  ticket.gate = s.persistence.HardStateGate();
  if (!args.entries.empty()) ticket.gate = std::max(ticket.gate, s.persistence.LogGate(ticket.verified));
  if (s.MayTakeOver(args)) s.BecomePreCandidate(State::Reason::kTransfer);
  return ticket;
}

WriteNumber Core::AppendGate(const AppendTicket& ticket) const {
  const State& s = *state_;
  if (ticket.gate > s.persistence.persisted()) return ticket.gate;
  return ticket.term != s.term ? s.persistence.HardStateGate() : 0;
}

AppendEntriesResults Core::FinishAppend(const AppendTicket& ticket) const {
  const State& s = *state_;
  RINGRAFT_ASSERT(ticket.gate <= s.persistence.persisted());  // B8: no answer before the disk has what it says
  AppendEntriesResults results;
  results.term = s.term;
  results.incarnation = s.options.incarnation;
  results.is_witness = s.options.is_witness;
  results.priority = s.options.priority;
  results.is_disk_stalled = s.stall.has_value();
  if (ticket.term != s.term) return results;  // a later leader may have overwritten what was verified (B6)
  results.success = ticket.accepted;
  if (ticket.accepted) {
    results.durable_match = std::min(ticket.verified, s.persistence.durable_index());
  } else {
    results.conflict = ticket.conflict;
  }
  return results;
}

// Rules 3 and 4 for one batch that follows a matching entry. What we have already is skipped: an old or repeated append
// must never shorten the log (B16). Only a real conflict, another term at the same index, truncates.
Result<void> Core::State::AppendFromLeader(const BatchRef& batch) {
  if (batch.first() > last_index()) {
    AppendToLog(batch);
    return Success();
  }
  // Log matching (§3.5): the same term at the same index means the same entries up to there.
  if (history.Match(batch.last(), batch.term())) return Success();

  // The logs part inside the batch: behind the last of our entries there with the batch's term, or at its beginning.
  // (Only logs that split batches make the former possible.)
  const LogPosition position = history.LastNotAfter(batch.last(), batch.term());
  const bool shares_entries = position.index >= batch.first() && position.term == batch.term();
  const Index shared = shares_entries ? position.index : batch.first() - 1;
  if (shared < last_index()) {
    const Index settled = std::max(commit_index, verified);
    if (shared < settled) {
      return Protocol("the batch at index " + Text(batch.first()) + " of term " + Text(batch.term()) +
                      " contradicts the log, which is settled up to index " + Text(settled));
    }
    TruncateLogAfter(shared);
  }
  AppendToLog(shares_entries ? batch.Slice(shared + 1, batch.last()) : batch);
  return Success();
}

void Core::State::AppendToLog(const BatchRef& batch) {
  history.Append(batch.last(), batch.term());
  tail.Append(batch);
  appends.Append(batch.last(), batch.size(), now);
  persistence.Append(batch);
  if ((batch.header().flags & BatchHeader::kHasConfiguration) != 0) AppendConfigurations(batch);
}

void Core::State::TruncateLogAfter(Index index) {
  RINGRAFT_ASSERT(leadership() == nullptr);  // §3.3: a leader never overwrites its log
  RINGRAFT_ASSERT(index >= commit_index);    // B4: what is committed stays
  history.TruncateAfter(index);
  tail.TruncateAfter(index);
  appends.TruncateAfter(index);
  persistence.TruncateAfter(index);
  configurations.TruncateAfter(index);  // C4: the configuration before it counts again
}

}  // namespace ringraft::core
