// The newest batches of the log, in memory: for pipelines and applying, and those that are not on disk yet. Invariant:
// consecutive, up to the last index (or empty after a restart). Owned by the core. Never drops a batch that is not
// durable.
#pragma once

#include <deque>

#include "ringraft/batch.h"
#include "ringraft/types.h"

namespace ringraft::core {

class LogTail {
 public:
  bool empty() const { return batches_.empty(); }
  size_t size() const { return batches_.size(); }
  const BatchRef& operator[](size_t position) const { return batches_[position]; }
  bool Holds(Index index) const {
    return !empty() && index >= batches_.front().first() && index <= batches_.back().last();
  }
  // The position of the batch that holds `index`. Precondition: Holds(index).
  size_t PositionOf(Index index) const;

  size_t bytes() const { return bytes_; }
  size_t unapplied_bytes() const { return unapplied_bytes_; }  // of batches that are not applied completely

  void Append(BatchRef batch);
  void TruncateAfter(Index index);  // Precondition: no applied entry is removed
  void MarkApplied(Index index);
  // Drops durable batches from the front while there are more than `limit` bytes. For batches that are not applied yet
  // the limit is twice that, since they would have to be read back.
  void Evict(size_t limit, Index durable_index);

 private:
  std::deque<BatchRef> batches_;
  size_t bytes_ = 0;
  size_t unapplied_bytes_ = 0;
  size_t applied_count_ = 0;  // batches at the front that are applied completely
};

}  // namespace ringraft::core
