// The newest batches of the log, in memory: what pipelines and the applier need, and what is not on disk yet.
// Contiguous, ends at the last index (or is empty after a restart). Owned by the core; it may never drop a batch that
// is not durable.
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
  // Where the batch is that holds `index`; it must be held.
  size_t PositionOf(Index index) const;

  size_t bytes() const { return bytes_; }
  size_t unapplied_bytes() const { return unapplied_bytes_; }  // of batches with an entry that is not applied

  void Append(BatchRef batch);
  void TruncateAfter(Index index);  // nothing that is applied
  void MarkApplied(Index index);
  // Drops durable batches from the front while there are more than `limit` bytes. Those that are not applied yet stay
  // for twice as long, since the applier would have to read them back.
  void Evict(size_t limit, Index durable_index);

 private:
  std::deque<BatchRef> batches_;
  size_t bytes_ = 0;
  size_t unapplied_bytes_ = 0;
  size_t applied_count_ = 0;  // so many at the front are applied as a whole
};

}  // namespace ringraft::core
