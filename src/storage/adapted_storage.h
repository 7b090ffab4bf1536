// The Storage interface on top of a user's own Log and Store. A commit is not one transaction here, so its parts are
// made durable in an order in which a crash between them is harmless: a vote or term that is stored too early only
// costs an election; entries stored before the term that allowed them could be acknowledged twice.
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

  // Reads the whole log in bounded ranges: a Log has no index of its terms and configurations.
  Result<RecoveredLog> Recover() override;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override;
  // The log does not keep batches: entries are packed into new ones, each of one term and one append time.
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override;
  ringraft::Log& Log() override { return *log_; }
  ringraft::Store& Store() override { return *store_; }

 private:
  // At least one entry of (after, after + count], or none if `after` is the end. Errors: kCorrupt if the log returns
  // other entries.
  Result<std::vector<OwnedLogEntry>> ReadRange(Index after, uint64_t count) const;
  Result<void> LoadOnce();
  Result<void> CheckBatches(std::optional<Index> truncate_after, std::span<const BatchRef> batches) const;
  Result<void> StoreGroup(std::span<const BatchRef> batches);
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
  std::vector<LogEntry> entries_;  // of the current commit; a member to reuse its buffer
};

}  // namespace ringraft::storage
