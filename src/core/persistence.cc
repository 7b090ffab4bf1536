#include "core/persistence.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ringraft::core {

void Persistence::SetHardState(const HardState& hard_state) {
  pending_.hard_state = hard_state;
  hard_state_number_ = taken_ + 1;
}

void Persistence::Probe(const HardState& hard_state) {
  if (!HasWrite()) pending_.hard_state = hard_state;
}

void Persistence::Append(const BatchRef& batch) {
  RINGRAFT_ASSERT(batch.first() == WrittenLast() + 1);
  pending_.batches.push_back(batch);
}

void Persistence::TruncateAfter(Index index) {
  // Pending batches that are cut off are never written.
  while (!pending_.batches.empty() && pending_.batches.back().last() > index) {
    BatchRef last = std::move(pending_.batches.back());
    pending_.batches.pop_back();
    if (last.first() <= index) pending_.batches.push_back(last.Slice(last.first(), index));
  }
  // Several cuts in one pending write are one, at the smallest index. If only pending batches were cut off, the disk
  // needs no cut.
  Index disk_last = pending_.truncate_after.value_or(taken_last_);
  if (index < disk_last) pending_.truncate_after = index;

  durable_index_ = std::min(durable_index_, index);
  for (Outstanding& write : outstanding_) write.last = std::min(write.last, index);
}

bool Persistence::HasWrite() const {
  return pending_.hard_state.has_value() || pending_.truncate_after.has_value() || !pending_.batches.empty();
}

Write Persistence::Next(TimePoint now) {
  RINGRAFT_ASSERT(HasWrite());
  taken_last_ = WrittenLast();
  Write write = std::exchange(pending_, Write{});
  write.number = ++taken_;
  outstanding_.push_back(Outstanding{write.number, now, taken_last_});
  return write;
}

bool Persistence::OnPersisted(TimePoint now, WriteNumber number) {
  RINGRAFT_ASSERT(number <= taken_);
  if (number <= persisted_) return false;
  persisted_ = number;
  while (!outstanding_.empty() && outstanding_.front().number <= number) {
    durable_index_ = std::max(durable_index_, outstanding_.front().last);
    last_latency_ = now - outstanding_.front().taken;
    outstanding_.pop_front();
  }
  return true;
}

WriteNumber Persistence::LogGate(Index index) const {
  if (index <= durable_index_) return 0;
  for (const Outstanding& write : outstanding_) {
    if (write.last >= index) return write.number;
  }
  RINGRAFT_ASSERT(index <= WrittenLast());
  return taken_ + 1;
}

Index Persistence::WrittenLast() const {
  if (!pending_.batches.empty()) return pending_.batches.back().last();
  return pending_.truncate_after.value_or(taken_last_);
}

void Persistence::CheckInvariants(Index last_index) const {
  RINGRAFT_ASSERT(WrittenLast() == last_index);
  RINGRAFT_ASSERT(durable_index_ <= last_index);
  RINGRAFT_ASSERT(persisted_ <= taken_);
  RINGRAFT_ASSERT(hard_state_number_ <= taken_ + 1);
  RINGRAFT_ASSERT(outstanding_.size() == taken_ - persisted_);
  Index before = durable_index_;
  for (const Outstanding& write : outstanding_) {
    RINGRAFT_ASSERT(write.last >= before);
    before = write.last;
  }
  RINGRAFT_ASSERT(before <= last_index);
}

}  // namespace ringraft::core
