// Appends as a follower: paper, Figure 2, "AppendEntries RPC, receiver implementation"; §3.5.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"
#include "core/state.h"

namespace ringraft::core {
namespace {

// "append refused: WHY", with the arguments of fmt::format.
template <class... Args>
Error Protocol(fmt::format_string<Args...> why, Args&&... args) {
  return Error(Errc::kProtocol, "append refused: " + fmt::format(why, std::forward<Args>(args)...));
}

// A malformed configuration must not enter the log, from which it could never be removed.
Result<void> CheckConfigurations(const BatchRef& batch) {
  if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) return Success();
  for (const LogEntry& entry : batch) {
    if (entry.type != LogEntryType::kConfiguration) continue;
    auto configuration = Configuration::Decode(entry.command);
    if (!configuration) return Protocol("entry {}: {}", entry.index, configuration.error().message());
  }
  return Success();
}

// Checks that the batches follow `prev` without a gap, and that their terms ascend from it to at most the sender's.
Result<void> CheckBatches(const AppendEntriesArgs& args, bool is_witness) {
  Index last = args.prev_index;
  Term last_term = args.prev_term;
  for (const BatchRef& batch : args.entries) {
    if (!batch) return Protocol("a batch is missing");
    const BatchHeader& header = batch.header();
    const Index first = header.base_index;
    if (first != last + 1 || header.count == 0 || header.count > kMaxNumber - last.value())
      return Protocol("the batch of {} entries from index {} does not follow index {}", header.count, first, last);
    if (header.term == Term(0) || header.term < last_term || header.term > args.term)
      return Protocol("the batch at index {} has term {}: expected {} to {}", first, header.term, last_term, args.term);
    if (header.group != args.group) return Protocol("the batch at index {} is of another group", first);
    if (header.term == args.term && header.leader != args.leader_id)
      return Protocol("the batch at index {} was created by node {} in the term of leader {}", first, header.leader,
                      args.leader_id);
    if (!batch.has_commands() && !is_witness)
      return Protocol("the batch at index {} is without commands, and this node is not a witness", first);
    RINGRAFT_TRYV(CheckConfigurations(batch));
    last = batch.last();
    last_term = header.term;
  }
  return Success();
}

}  // namespace

// Refuses what no correct leader sends before anything changes (hazard I9, see state.h).
Result<void> Core::State::CheckAppend(const AppendEntriesArgs& args) const {
  if (args.group != options.group) return Protocol("it is for group {}, this is group {}", args.group, options.group);
  if (args.to != options.self) return Protocol("it is for node {}, this is node {}", args.to, options.self);
  if (args.leader_id == NodeId(0) || args.leader_id == options.self)
    return Protocol("node {} cannot be its sender", args.leader_id);
  if (args.term == Term(0) || args.term.value() > kMaxNumber) return Protocol("term {} is impossible", args.term);
  if (args.prev_index.value() > kMaxNumber || args.leader_commit.value() > kMaxNumber)
    return Protocol("index {} is impossible", std::max(args.prev_index, args.leader_commit));
  if ((args.prev_index == Index(0)) != (args.prev_term == Term(0)) || args.prev_term > args.term)
    return Protocol("entry {} cannot have term {}", args.prev_index, args.prev_term);
  // §3.2, election safety: at most one leader per term.
  const bool is_other_leader = leader != NodeId(0) && leader != args.leader_id;
  if (args.term == term && is_other_leader)
    return Protocol("the leader of term {} is node {}, not node {}", term, leader, args.leader_id);
  return CheckBatches(args, options.is_witness);
}

Result<AppendTicket> Core::OnAppendEntries(TimePoint now, const AppendEntriesArgs& args) {
  State& s = *state_;
  s.See(now);
  RINGRAFT_TRYV(s.CheckAppend(args));

  AppendTicket ticket;
  if (args.term < s.term) {  // rule 1: an older leader learns the new term (A14, A15)
    ticket.gate = s.persistence.HardStateGate();
    ticket.term = s.term;
    return ticket;
  }
  std::optional<Candidacy> campaign;
  if (s.CampaignsFor(args)) campaign = std::move(*s.candidacy());
  // It comes from the leader of this term or of a newer one, so any role becomes follower.
  s.BecomeFollower(args.term, args.leader_id);
  s.leader_contact = s.now;
  s.last_led = s.now;
  s.ResetElectionTimer();
  ticket.term = s.term;

  if (!s.history.Match(args.prev_index, args.prev_term)) {  // rule 2: log matching
    LogPosition candidate = s.history.LastNotAfter(args.prev_index, args.prev_term);
    ticket.gate = s.persistence.HardStateGate();
    ticket.conflict = ConflictHint{candidate.index, candidate.term};
    return ticket;
  }
  for (const BatchRef& batch : args.entries) RINGRAFT_TRYV(s.AppendFromLeader(batch));  // rules 3 and 4
  ticket.accepted = true;
  ticket.verified = args.entries.empty() ? args.prev_index : args.entries.back().last();
  s.verified = std::max(s.verified, ticket.verified);
  // Rule 5. Only the verified prefix is committed: entries after it may be another leader's (B2).
  s.AdvanceCommit(std::min(args.leader_commit, ticket.verified));
  // The reply to a heartbeat never waits for data: it names only what is durable when it is sent.
  ticket.gate = s.persistence.HardStateGate();
  if (!args.entries.empty()) ticket.gate = std::max(ticket.gate, s.persistence.LogGate(ticket.verified));
  if (s.MayTakeOver(args)) s.BecomeSuccessor(std::move(campaign));
  return ticket;
}

WriteNumber Core::AppendGate(const AppendTicket& ticket) const {
  const State& s = *state_;
  if (ticket.gate > s.persistence.persisted()) return ticket.gate;
  return ticket.term != s.term ? s.persistence.HardStateGate() : 0;
}

AppendEntriesResults Core::FinishAppend(const AppendTicket& ticket) const {
  const State& s = *state_;
  RINGRAFT_ASSERT(ticket.gate <= s.persistence.persisted());  // B8: no reply before the disk has what it acknowledges
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

// Rules 3 and 4 for one batch that follows a matching entry. Entries that the log has already are skipped: an old or
// repeated append must never shorten the log (B16). Only a conflict, another term at the same index, truncates.
Result<void> Core::State::AppendFromLeader(const BatchRef& batch) {
  if (batch.first() > last_index()) {
    AppendToLog(batch);
    return Success();
  }
  // Log matching (§3.5): the same term at the same index means the same entries up to there.
  if (history.Match(batch.last(), batch.term())) return Success();

  // The logs diverge inside the batch, after the last entry there that has the batch's term, or at its start. (The
  // former needs a log that splits batches.)
  const LogPosition position = history.LastNotAfter(batch.last(), batch.term());
  const bool shares_entries = position.index >= batch.first() && position.term == batch.term();
  const Index shared = shares_entries ? position.index : batch.first() - 1;
  if (shared < last_index()) {
    const Index settled = std::max(commit_index, verified);
    if (shared < settled) {
      return Protocol("the batch at index {} of term {} contradicts the log, which is settled up to index {}",
                      batch.first(), batch.term(), settled);
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
  RINGRAFT_ASSERT(index >= commit_index);    // B4: committed entries stay
  history.TruncateAfter(index);
  tail.TruncateAfter(index);
  appends.TruncateAfter(index);
  persistence.TruncateAfter(index);
  configurations.TruncateAfter(index);  // C4: the configuration before it is in effect again
}

}  // namespace ringraft::core
