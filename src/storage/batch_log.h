// The Log facet of a storage that keeps batches: converts entries to batches and back. It writes through
// Storage::Commit, so threads and durability are those of Commit.
#pragma once

#include "ringraft/log.h"
#include "ringraft/storage.h"

namespace ringraft::storage {

// A storage that keeps its log in batches, with what the facet needs in addition to Storage.
class BatchStorage : public Storage {
 public:
  virtual GroupId group() const = 0;
  virtual Result<LogPosition> LastPosition() const = 0;  // (0, 0) if empty; any thread
};

// A member of its storage.
class BatchLog final : public Log {
 public:
  explicit BatchLog(BatchStorage& storage) : storage_(storage) {}

  Result<Term> Get(Index index) const override;
  Result<bool> Match(Index index, Term term) const override;
  Result<LogPosition> Last() const override;
  Result<std::vector<OwnedLogEntry>> RangeGet(Index after, Index to) const override;
  Result<void> AppendAfter(Index index, std::span<const LogEntry> entries) override;
  Result<void> Append(std::span<const LogEntry> entries) override;
  Result<Index> AppendEntry(const LogEntry& entry) override;

 private:
  BatchStorage& storage_;
};

// Packs entries into batches, each of one term and one append time, and of at most about `max_bytes`. Precondition: the
// entries are consecutive, and their indexes and terms are at least 1.
std::vector<BatchRef> ToBatches(std::span<const LogEntry> entries, GroupId group, size_t max_bytes);

// Returns kInvalidArgument unless the batches directly follow `last`, with terms that never decrease, and are of this
// group.
Result<void> CheckFollows(LogPosition last, std::span<const BatchRef> batches, GroupId group);

}  // namespace ringraft::storage
