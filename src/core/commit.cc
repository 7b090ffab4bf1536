// Durable, committed and applied entries: paper, sections 5.3 and 5.4.2; §3.6.2, §10.2.1.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "core/quorum.h"
#include "core/state.h"

namespace ringraft::core {

bool Core::HasWrite() const { return state_->persistence.HasWrite(); }
Write Core::NextWrite(TimePoint now) {
  state_->See(now);
  return state_->persistence.Next(state_->now);
}
WriteNumber Core::persisted() const { return state_->persistence.persisted(); }

void Core::OnPersisted(TimePoint now, WriteNumber number) {
  State& s = *state_;
  s.See(now);
  if (!s.persistence.OnPersisted(s.now, number)) return;
  s.UpdateDiskHealth(/*has_written=*/true);
  const Candidacy* campaign = s.candidacy();
  if (campaign != nullptr && !campaign->ticket.pre_vote) s.CountVotes();  // the own vote may be durable now
  s.MaybeCommit();
  s.EvictTail();
}

// §3.6.2, paper 5.4.2 (Figure 8): only an entry of the leader's own term is committed by counting; those before it are
// committed with it. A majority without the leader is enough (§10.2.1): its own disk may be the slowest.
void Core::State::MaybeCommit() {
  Leadership* leading = leadership();
  if (leading == nullptr) return;
  const Index agreed = QuorumIndex(configuration(), [&](const Member& voter) {
    if (voter.id == options.self) return voter.IsOf(options.incarnation) ? persistence.durable_index() : Index(0);
    const Progress& progress = leading->peers.at(voter.id);
    return voter.IsOf(progress.incarnation) ? progress.match : Index(0);  // hazard C17, see core.h
  });
  if (agreed <= commit_index || history.TermAt(agreed) != term) return;
  AdvanceCommit(agreed);
  OnCommittedAsLeader();
}

// The commit index never decreases (hazard B3).
void Core::State::AdvanceCommit(Index index) {
  RINGRAFT_ASSERT(index <= last_index());
  commit_index = std::max(commit_index, index);
}

namespace {

// The entries [from, to] of a batch that has some of them. A whole batch is shared, not copied.
BatchRef Cut(const BatchRef& batch, Index from, Index to) {
  if (batch.first() >= from && batch.last() <= to) return batch;
  return batch.Slice(std::max(batch.first(), from), std::min(batch.last(), to));
}

}  // namespace

NextApplyResult Core::NextApply(size_t max_bytes, bool durable_only) {
  State& s = *state_;
  const Index limit = durable_only ? std::min(s.commit_index, s.persistence.durable_index()) : s.commit_index;
  const Index from = s.taken_index + 1;
  if (from > limit) return std::monostate{};
  if (!s.tail.Holds(from)) return ReadRequest{from, max_bytes};
  std::vector<BatchRef> batches;
  size_t bytes = 0;
  for (size_t position = s.tail.PositionOf(from); position < s.tail.size(); ++position) {
    const BatchRef& batch = s.tail[position];
    if (batch.first() > limit) break;
    if (!batches.empty() && bytes + batch.size() > max_bytes) break;
    bytes += batch.size();
    batches.push_back(Cut(batch, from, limit));
  }
  s.taken_index = batches.back().last();
  return batches;
}

std::vector<BatchRef> Core::OnApplyRead(std::vector<BatchRef> batches, bool durable_only) {
  State& s = *state_;
  const Index limit = durable_only ? std::min(s.commit_index, s.persistence.durable_index()) : s.commit_index;
  std::vector<BatchRef> committed;
  for (const BatchRef& batch : batches) {
    const Index from = s.taken_index + 1;
    if (batch.last() < from) continue;
    if (batch.first() > from || from > limit) break;
    // The log may have been truncated during the read: only batches that are in the log now are returned.
    const Index to = std::min(batch.last(), limit);
    if (s.history.TermAt(from) != batch.term() || s.history.TermAt(to) != batch.term()) break;
    committed.push_back(Cut(batch, from, to));
    s.taken_index = to;
  }
  return committed;
}

void Core::OnApplied(Index index) {
  State& s = *state_;
  RINGRAFT_ASSERT(index >= s.applied_index);
  RINGRAFT_ASSERT(index <= s.taken_index);
  s.applied_index = index;
  s.taken_index = index;
  s.tail.MarkApplied(index);
  s.EvictTail();
}

}  // namespace ringraft::core
