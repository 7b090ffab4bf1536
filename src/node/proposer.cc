#include "node/proposer.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace ringraft::node {

Result<void> Proposer::Check(size_t bytes) const {
  if (waiting_bytes_ + bytes > limits_.max_waiting_bytes)
    return Error(Errc::kBusy,
                 fmt::format("{} bytes wait to be appended and limits.max_waiting_bytes is {}; try again later",
                             waiting_bytes_, limits_.max_waiting_bytes));
  if (core_.unapplied_bytes() + waiting_bytes_ + bytes > limits_.max_unapplied_bytes)
    return Error(
        Errc::kBusy,
        fmt::format("{} bytes of the log are not applied and limits.max_unapplied_bytes is {}; try again later",
                    core_.unapplied_bytes(), limits_.max_unapplied_bytes));
  return Success();
}

Proposer::Waiting& Proposer::OpenBatch(size_t more_bytes) {
  if (waiting_.empty() ||
      (!waiting_.back().builder.empty() && waiting_.back().builder.size() + more_bytes > limits_.max_batch_bytes)) {
    waiting_.emplace_back();
    waiting_.back().waiters = SpareWaiters();
  }
  waiting_bytes_ += more_bytes;
  return waiting_.back();
}

void Proposer::AddWaiter(Waiting& batch, CallSlot& slot) {
  slot.is_out = true;
  batch.waiters.push_back(Waiter{&slot, slot.generation(), slot.count});
  control_.Touch();
}

void Proposer::AddEncoded(CallSlot& slot) {
  Waiting& batch = OpenBatch(slot.encoded.size());
  batch.builder.AddEncoded(slot.encoded, slot.count);
  AddWaiter(batch, slot);
}

void Proposer::Add(CallSlot& slot, std::span<const Command> commands) {
  size_t bytes = 0;
  for (const Command& command : commands) bytes += BatchHeader::kEntryOverhead + command.size();
  Waiting& batch = OpenBatch(bytes);
  for (const Command& command : commands) batch.builder.Add(LogEntryType::kCommand, command.view());
  AddWaiter(batch, slot);
}

size_t Proposer::Uncommitted() const {
  size_t count = 0;
  for (auto batch = in_flight_.rbegin(); batch != in_flight_.rend() && batch->last > core_.commit_index(); ++batch)
    ++count;
  return count;
}

void Proposer::Flush(int64_t append_time_ns) {
  while (!waiting_.empty() && !waiting_.front().builder.empty() && Uncommitted() < kWindow) {
    Waiting batch = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= batch.builder.size() - BatchHeader::kSize;
    BatchRef sealed = core_.Propose(batch.builder, append_time_ns);
    InFlight entry;
    entry.term = sealed.term();
    entry.first = sealed.first();
    entry.last = sealed.last();
    entry.waiters = std::move(batch.waiters);
    in_flight_.push_back(std::move(entry));
  }
}

void Proposer::Deliver(Index first, Term term, ApplyResults& results, size_t offset, size_t count) {
  while (count > 0 && !in_flight_.empty()) {
    InFlight& batch = in_flight_.front();
    // Entries of another leader, or of an earlier term of leadership: no call waits for them.
    if (batch.term != term || batch.first > first || batch.last < first) return;
    Waiter waiter = batch.waiters[batch.next_waiter];
    bool is_awaited = waiter.slot->IsAwaited(waiter.generation);
    uint32_t take = static_cast<uint32_t>(std::min<size_t>(count, waiter.count - batch.delivered));
    for (uint32_t i = 0; is_awaited && i < take; ++i) {
      if (waiter.count == 1) {
        waiter.slot->result = std::move(results[offset + i]);
      } else {
        waiter.slot->results.push_back(std::move(results[offset + i]));
      }
    }
    offset += take;
    count -= take;
    first = first + take;
    batch.delivered += take;
    if (batch.delivered < waiter.count) return;
    batch.delivered = 0;
    if (++batch.next_waiter == batch.waiters.size()) {
      Recycle(std::move(batch.waiters));
      in_flight_.pop_front();
    }
    // Last: it runs the caller, who may come back with the next call.
    waiter.slot->Complete(waiter.generation);
  }
}

// One append of a later leader may depose this one, overwrite its entries and move the commit index beyond them: the
// entry at a committed index need not be this leader's.
bool Proposer::IsCertain(const InFlight& batch) const {
  return batch.last <= core_.commit_index() && core_.TermAt(batch.last) == batch.term;
}

void Proposer::OnLeadershipLost() {
  std::deque<InFlight> lost;
  while (!in_flight_.empty() && !IsCertain(in_flight_.back())) {
    lost.push_front(std::move(in_flight_.back()));
    in_flight_.pop_back();
  }
  EndCalls(std::move(lost), Errc::kNotLeader);
}

void Proposer::OnStop() { EndCalls(std::exchange(in_flight_, {}), Errc::kStopped); }

// Of these batches, and of all that wait. An ended call may run its caller, which may come back with the next call.
void Proposer::EndCalls(std::deque<InFlight> in_flight, Errc waiting_end) {
  const std::deque<Waiting> waiting = std::exchange(waiting_, {});
  waiting_bytes_ = 0;
  for (const InFlight& batch : in_flight) EndAll(std::span(batch.waiters).subspan(batch.next_waiter), Errc::kUnknown);
  for (const Waiting& batch : waiting) EndAll(batch.waiters, waiting_end);
}

void Proposer::EndAll(std::span<const Waiter> waiters, Errc code) {
  for (const Waiter& waiter : waiters) calls_.EndCall(*waiter.slot, waiter.generation, code);
}

std::vector<Proposer::Waiter> Proposer::SpareWaiters() {
  if (spare_.empty()) return {};
  std::vector<Waiter> waiters = std::move(spare_.back());
  spare_.pop_back();
  return waiters;
}

void Proposer::Recycle(std::vector<Waiter> waiters) {
  waiters.clear();
  if (spare_.size() < 2 * kWindow) spare_.push_back(std::move(waiters));
}

}  // namespace ringraft::node
