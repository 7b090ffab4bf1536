#include "core/log_tail.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ringraft::core {

size_t LogTail::PositionOf(Index index) const {
  RINGRAFT_ASSERT(Holds(index));
  auto found = std::partition_point(batches_.begin(), batches_.end(),
                                    [index](const BatchRef& batch) { return batch.last() < index; });
  return static_cast<size_t>(found - batches_.begin());
}

void LogTail::Append(BatchRef batch) {
  RINGRAFT_ASSERT(empty() || batch.first() == batches_.back().last() + 1);
  bytes_ += batch.size();
  unapplied_bytes_ += batch.size();
  batches_.push_back(std::move(batch));
}

void LogTail::TruncateAfter(Index index) {
  while (!empty() && batches_.back().last() > index) {
    RINGRAFT_ASSERT(applied_count_ < batches_.size());
    BatchRef last = std::move(batches_.back());
    batches_.pop_back();
    bytes_ -= last.size();
    unapplied_bytes_ -= last.size();
    // A cut inside a batch needs a log that splits batches.
    if (last.first() <= index) Append(last.Slice(last.first(), index));
  }
}

void LogTail::MarkApplied(Index index) {
  while (applied_count_ < batches_.size() && batches_[applied_count_].last() <= index) {
    unapplied_bytes_ -= batches_[applied_count_].size();
    ++applied_count_;
  }
}

void LogTail::Evict(size_t limit, Index durable_index) {
  while (bytes_ > limit && batches_.front().last() <= durable_index) {
    bool is_applied = applied_count_ > 0;
    if (!is_applied && bytes_ <= 2 * limit) break;
    size_t size = batches_.front().size();
    bytes_ -= size;
    if (is_applied) {
      --applied_count_;
    } else {
      unapplied_bytes_ -= size;
    }
    batches_.pop_front();
  }
}

}  // namespace ringraft::core
