// A user's own Log and Store behind the interface of the runtime. A commit is not one transaction here, so its parts
// are made durable in the order in which a crash between them is harmless: a vote or term that is remembered too early
// only costs an election; entries without the term that allowed them could be acknowledged twice.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "ringraft/storage.h"

namespace ringraft::storage {

class AdaptedStorage final : public Storage {
 public:
  AdaptedStorage(std::shared_ptr<ringraft::Log> log, std::shared_ptr<ringraft::Store> store)
      : log_(std::move(log)), store_(std::move(store)) {}

  // Reads the whole log, a bounded range at a time: a Log knows neither its runs of terms nor its configurations.
  Result<RecoveredLog> Recover() override;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override;
  // Entries do not remember their batches: they are packed anew, a run of one term and one append time each.
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override;
  ringraft::Log& Log() override { return *log_; }
  ringraft::Store& Store() override { return *store_; }

 private:
  // At least one entry of (after, after + count], or none if `after` is the end. Errors: kCorrupt if the log gives
  // others.
  Result<std::vector<OwnedLogEntry>> ReadRange(Index after, uint64_t count) const;
  Result<void> LoadOnce();
  Result<void> CheckBatches(std::optional<Index> truncate_after, std::span<const BatchRef> batches) const;
  Result<void> RememberGroup(std::span<const BatchRef> batches);
  Result<void> WriteLog(std::optional<Index> truncate_after, std::span<const BatchRef> batches);
  Error Fail(const Error& error);

  std::shared_ptr<ringraft::Log> log_;
  std::shared_ptr<ringraft::Store> store_;
  std::atomic<uint64_t> group_{1};

  // Storage thread only.
  bool is_loaded_ = false;
  bool has_failed_ = false;
  Error failure_;
  LogPosition last_;
  std::vector<LogEntry> entries_;  // of the commit that runs; keeps its buffer
};

}  // namespace ringraft::storage
