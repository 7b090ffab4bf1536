#include "storage/memory_storage.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/try.h"
#include "storage/stored_format.h"

namespace ringraft {

std::shared_ptr<Storage> MakeMemoryStorage() { return std::make_shared<storage::MemoryStorage>(); }

namespace storage {

LogPosition MemoryStorage::LastLocked() const {
  return batches_.empty() ? LogPosition{} : LogPosition{batches_.back().last(), batches_.back().term()};
}

size_t MemoryStorage::PositionOf(Index index) const {
  auto found = std::partition_point(batches_.begin(), batches_.end(),
                                    [&](const BatchRef& batch) { return batch.last() < index; });
  return static_cast<size_t>(found - batches_.begin());
}

GroupId MemoryStorage::GroupFor(std::span<const BatchRef> batches) const {
  if (!batches_.empty()) return batches_.front().header().group;
  return batches.empty() ? GroupId(1) : batches.front().header().group;
}

GroupId MemoryStorage::group() const {
  std::lock_guard lock(mutex_);
  return GroupFor({});
}

Result<LogPosition> MemoryStorage::LastPosition() const {
  std::lock_guard lock(mutex_);
  return LastLocked();
}

Result<RecoveredLog> MemoryStorage::Recover() {
  std::lock_guard lock(mutex_);
  RecoveredLog recovered;
  recovered.hard_state = hard_state_;
  recovered.last_index = LastLocked().index;
  for (const BatchRef& batch : batches_) {
    if (recovered.terms.empty() || recovered.terms.back().term != batch.term())
      recovered.terms.push_back(TermRun{batch.first(), batch.term()});
    if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) continue;
    for (LogEntry entry : batch)
      if (entry.type == LogEntryType::kConfiguration)
        recovered.configurations.push_back(StoredConfiguration{entry.index, std::string(entry.command)});
  }
  return recovered;
}

Result<void> MemoryStorage::Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                   std::span<const BatchRef> batches) {
  std::lock_guard lock(mutex_);
  LogPosition base = LastLocked();
  size_t kept = batches_.size();
  if (truncate_after && *truncate_after < base.index) {
    base = LogPosition{};
    kept = *truncate_after ? PositionOf(*truncate_after) + 1 : 0;
    if (kept > 0) base = LogPosition{*truncate_after, batches_[kept - 1].term()};
  }
  RINGRAFT_TRYV(CheckFollows(base, batches, GroupFor(batches)));
  if (hard_state) hard_state_ = *hard_state;
  batches_.resize(kept);
  if (kept > 0 && batches_.back().last() > base.index)
    batches_.back() = batches_.back().Slice(batches_.back().first(), base.index);
  batches_.insert(batches_.end(), batches.begin(), batches.end());
  return Success();
}

Result<std::vector<BatchRef>> MemoryStorage::Read(Index from, size_t max_bytes) const {
  std::lock_guard lock(mutex_);
  std::vector<BatchRef> found;
  size_t bytes = 0;
  for (size_t i = PositionOf(from); i < batches_.size(); ++i) {
    bytes += batches_[i].size();
    if (!found.empty() && bytes > max_bytes) break;
    found.push_back(batches_[i]);
  }
  return found;
}

Result<void> MemoryStorage::Values::Set(std::string_view key, std::string_view value) {
  RINGRAFT_TRYV(CheckStoreKey(key));
  std::lock_guard lock(mutex_);
  values_.insert_or_assign(std::string(key), std::string(value));
  return Success();
}

Result<std::string> MemoryStorage::Values::Get(std::string_view key) const {
  RINGRAFT_TRYV(CheckStoreKey(key));
  std::lock_guard lock(mutex_);
  auto found = values_.find(key);
  return found == values_.end() ? std::string() : found->second;
}

Result<void> MemoryStorage::Values::SetUint64(std::string_view key, uint64_t value) {
  return Set(key, EncodeUint64(value));
}

Result<uint64_t> MemoryStorage::Values::GetUint64(std::string_view key) const {
  RINGRAFT_TRY(value, Get(key));
  if (value.empty()) return uint64_t{0};
  return DecodeUint64(value, fmt::format("the value of '{}'", key));
}

}  // namespace storage
}  // namespace ringraft
