#include "storage/adapted_storage.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "base/try.h"
#include "storage/batch_log.h"
#include "storage/stored_format.h"

namespace ringraft {

std::shared_ptr<Storage> AdaptStorage(std::shared_ptr<Log> log, std::shared_ptr<Store> store) {
  return std::make_shared<storage::AdaptedStorage>(std::move(log), std::move(store));
}

namespace storage {
namespace {

constexpr uint64_t kEntriesPerRange = 256;
constexpr size_t kMaxBatchBytes = size_t{4} << 20;

}  // namespace

Result<std::vector<OwnedLogEntry>> AdaptedStorage::ReadRange(Index after, uint64_t count) const {
  RINGRAFT_TRY(entries, log_->RangeGet(after, after + count));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].index != after + (i + 1) || !entries[i].term)
      return Error(Errc::kCorrupt,
                   fmt::format("the log returned index {} and term {} for the entry at index {}", entries[i].index,
                               entries[i].term, after + (i + 1)));
  }
  return entries;
}

Result<RecoveredLog> AdaptedStorage::Recover() {
  RecoveredLog recovered;
  RINGRAFT_TRY(hard_state_bytes, store_->Get(kAdaptedHardStateKey));
  if (!hard_state_bytes.empty()) {
    RINGRAFT_TRY(bytes, Unseal(kAdaptedHardStateKey, hard_state_bytes, "the hard state in the store"));
    RINGRAFT_TRY(hard_state, DecodeHardState(bytes));
    recovered.hard_state = hard_state;
  }
  RINGRAFT_TRY(group, store_->GetUint64(kAdaptedGroupKey));
  if (group != 0) group_ = group;
  RINGRAFT_TRY(last, log_->Last());
  Term term;
  for (Index at; at < last.index;) {
    RINGRAFT_TRY(entries, ReadRange(at, std::min(kEntriesPerRange, last.index - at)));
    if (entries.empty())
      return Error(Errc::kCorrupt, fmt::format("the log ends at index {} but has no entry {}", last.index, at + 1));
    for (OwnedLogEntry& entry : entries) {
      if (entry.term < term)
        return Error(Errc::kCorrupt, fmt::format("the log has the term {} at index {}, after the term {}", entry.term,
                                                 entry.index, term));
      if (entry.term != term) recovered.terms.push_back(TermRun{entry.index, entry.term});
      term = entry.term;
      at = entry.index;
      if (entry.type == LogEntryType::kConfiguration)
        recovered.configurations.push_back(StoredConfiguration{entry.index, std::move(entry.command)});
    }
  }
  if (last.term != term)
    return Error(Errc::kCorrupt, fmt::format("the log reports the term {} for its last entry, {}; the entry has {}",
                                             last.term, last.index, term));
  recovered.last_index = last.index;
  last_ = last;
  is_loaded_ = true;
  return recovered;
}

Result<void> AdaptedStorage::LoadOnce() {
  if (is_loaded_) return Success();
  RINGRAFT_TRYV(Recover());
  return Success();
}

Error AdaptedStorage::Fail(const Error& error) {
  has_failed_ = true;
  failure_ = Error(
      Errc::kIo, fmt::format("the storage has failed and refuses all writes ({}); restart the node", error.message()));
  return error;
}

Result<void> AdaptedStorage::CheckBatches(std::optional<Index> truncate_after,
                                          std::span<const BatchRef> batches) const {
  if (batches.empty()) return Success();
  LogPosition base = last_;
  if (truncate_after) {
    RINGRAFT_TRY(term, log_->Get(*truncate_after));
    base = LogPosition{*truncate_after, term};
  }
  return CheckFollows(base, batches, batches.front().header().group);
}

Result<void> AdaptedStorage::Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                    std::span<const BatchRef> batches) {
  if (has_failed_) return failure_;
  RINGRAFT_TRYV(LoadOnce());
  if (truncate_after && *truncate_after >= last_.index) truncate_after.reset();
  RINGRAFT_TRYV(CheckBatches(truncate_after, batches));
  if (hard_state) {
    auto set = store_->Set(kAdaptedHardStateKey, Seal(kAdaptedHardStateKey, EncodeHardState(*hard_state)));
    if (!set) return Fail(set.error());
  }
  if (auto stored = StoreGroup(batches); !stored) return Fail(stored.error());
  if (auto written = WriteLog(truncate_after, batches); !written) return Fail(written.error());
  return Success();
}

Result<void> AdaptedStorage::StoreGroup(std::span<const BatchRef> batches) {
  if (batches.empty() || batches.front().header().group == GroupId(group_)) return Success();
  uint64_t group = batches.front().header().group.value();
  RINGRAFT_TRYV(store_->SetUint64(kAdaptedGroupKey, group));
  group_ = group;
  return Success();
}

Result<void> AdaptedStorage::WriteLog(std::optional<Index> truncate_after, std::span<const BatchRef> batches) {
  entries_.clear();
  for (const BatchRef& batch : batches)
    for (LogEntry entry : batch) entries_.push_back(entry);
  if (truncate_after) {
    RINGRAFT_TRYV(log_->AppendAfter(*truncate_after, entries_));
    RINGRAFT_TRY(term, log_->Get(*truncate_after));
    last_ = LogPosition{*truncate_after, term};
  } else if (!entries_.empty()) {
    RINGRAFT_TRYV(log_->Append(entries_));
  }
  if (!batches.empty()) last_ = LogPosition{batches.back().last(), batches.back().term()};
  return Success();
}

Result<std::vector<BatchRef>> AdaptedStorage::Read(Index from, size_t max_bytes) const {
  if (!from) from = Index(1);
  std::vector<BatchRef> batches;
  size_t bytes = 0;
  for (Index at = from - 1;;) {
    RINGRAFT_TRY(entries, ReadRange(at, kEntriesPerRange));
    std::vector<LogEntry> views;
    views.reserve(entries.size());
    for (const OwnedLogEntry& entry : entries) views.push_back(entry.view());
    for (BatchRef& batch : ToBatches(views, GroupId(group_), std::clamp<size_t>(max_bytes, 1, kMaxBatchBytes))) {
      if (!batches.empty() && bytes + batch.size() > max_bytes) return batches;
      bytes += batch.size();
      batches.push_back(std::move(batch));
    }
    if (entries.size() < kEntriesPerRange) return batches;
    at = entries.back().index;
  }
}

}  // namespace storage
}  // namespace ringraft
