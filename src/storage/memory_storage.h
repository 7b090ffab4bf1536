// A volatile storage, for tests and benchmarks. Any thread may read while one writes.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "storage/batch_log.h"

namespace ringraft::storage {

class MemoryStorage final : public BatchStorage {
 public:
  Result<RecoveredLog> Recover() override;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override;
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override;
  ringraft::Log& Log() override { return log_; }
  ringraft::Store& Store() override { return store_; }

  // The group of the first batch; 1 while there is none.
  GroupId group() const override;
  Result<LogPosition> LastPosition() const override;

 private:
  class Values final : public ringraft::Store {
   public:
    Result<void> Set(std::string_view key, std::string_view value) override;
    Result<std::string> Get(std::string_view key) const override;
    Result<void> SetUint64(std::string_view key, uint64_t value) override;
    Result<uint64_t> GetUint64(std::string_view key) const override;

   private:
    mutable std::mutex mutex_;
    std::map<std::string, std::string, std::less<>> values_;
  };

  // Precondition: the caller holds the mutex.
  LogPosition LastLocked() const;
  size_t PositionOf(Index index) const;  // of the batch with this index; batches_.size() if there is none
  GroupId GroupFor(std::span<const BatchRef> batches) const;

  mutable std::mutex mutex_;
  HardState hard_state_;
  std::vector<BatchRef> batches_;
  BatchLog log_{*this};
  Values store_;
};

}  // namespace ringraft::storage
