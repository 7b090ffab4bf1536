// The Log facet of a storage that keeps batches: entries in and out of batches. It writes through Storage::Commit, so
// it has its threads and its durability.
#pragma once

#include "ringraft/log.h"
#include "ringraft/storage.h"

namespace ringraft::storage {

// A storage whose log is batches, and what the facet needs of it beside Storage.
class BatchStorage : public Storage {
 public:
  virtual GroupId group() const = 0;
  virtual Result<LogPosition> LastPosition() const = 0;  // (0, 0) if empty; any thread
};

// Member of the storage that it is a facet of.
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

// Entries as batches: each a run of one term and one append time, of at most about `max_bytes`. The entries must be
// consecutive and have indexes and terms of at least 1.
std::vector<BatchRef> ToBatches(std::span<const LogEntry> entries, GroupId group, size_t max_bytes);

// kInvalidArgument unless the batches follow `last` directly, with terms that do not fall, and are of this group.
Result<void> CheckFollows(LogPosition last, std::span<const BatchRef> batches, GroupId group);

}  // namespace ringraft::storage
