#include "storage/batch_log.h"

#include <fmt/format.h>

#include "base/format.h"
#include "base/try.h"

namespace ringraft::storage {
namespace {

constexpr size_t kMaxBatchBytes = size_t{4} << 20;
constexpr size_t kReadBytes = size_t{4} << 20;

Result<void> CheckEntries(Index index, std::span<const LogEntry> entries) {
  for (const LogEntry& entry : entries) {
    ++index;
    if (entry.index != index)
      return Error(Errc::kInvalidArgument,
                   fmt::format("the entry for index {} has the index {}; entries must be consecutive", index,
                               entry.index));
    if (!entry.term)
      return Error(Errc::kInvalidArgument,
                   fmt::format("the entry at index {} has the term 0; terms begin with 1", index));
  }
  return Success();
}

}  // namespace

std::vector<BatchRef> ToBatches(std::span<const LogEntry> entries, GroupId group, size_t max_bytes) {
  std::vector<BatchRef> batches;
  while (!entries.empty()) {
    size_t count = 0, bytes = BatchHeader::kSize;
    while (count < entries.size() && entries[count].term == entries[0].term &&
           entries[count].append_time == entries[0].append_time) {
      bytes += BatchHeader::kEntryOverhead + entries[count].command.size();
      if (count > 0 && bytes > max_bytes) break;
      ++count;
    }
    batches.push_back(MakeBatch(entries.first(count), NodeId(0), group));  // a Log does not store the leader
    entries = entries.subspan(count);
  }
  return batches;
}

Result<void> CheckFollows(LogPosition last, std::span<const BatchRef> batches, GroupId group) {
  for (const BatchRef& batch : batches) {
    if (batch.first() != last.index + 1)
      return Error(Errc::kInvalidArgument,
                   fmt::format("a batch begins at index {}, but the log ends at {}; batches must be consecutive",
                               batch.first(), last.index));
    if (batch.term() < last.term)
      return Error(Errc::kInvalidArgument,
                   fmt::format("the batch at index {} has the term {}, but the entry before it has {}; terms must not "
                               "decrease",
                               batch.first(), batch.term(), last.term));
    if (batch.header().group != group)
      return Error(Errc::kInvalidArgument,
                   fmt::format("the batch at index {} is of the group {}; this storage has the group {}",
                               batch.first(), batch.header().group, group));
    last = LogPosition{batch.last(), batch.term()};
  }
  return Success();
}

Result<Term> BatchLog::Get(Index index) const {
  if (!index) return Term(0);
  RINGRAFT_TRY(batches, storage_.Read(index, 1));
  return batches.empty() ? Term(0) : batches.front().term();
}

Result<bool> BatchLog::Match(Index index, Term term) const {
  if (!index) return false;
  RINGRAFT_TRY(batches, storage_.Read(index, 1));
  return !batches.empty() && batches.front().term() == term;
}

Result<LogPosition> BatchLog::Last() const { return storage_.LastPosition(); }

Result<std::vector<OwnedLogEntry>> BatchLog::RangeGet(Index after, Index to) const {
  std::vector<OwnedLogEntry> entries;
  while (after < to) {
    RINGRAFT_TRY(batches, storage_.Read(after + 1, kReadBytes));
    if (batches.empty()) break;
    for (const BatchRef& batch : batches)
      for (LogEntry entry : batch)
        if (entry.index > after && entry.index <= to) entries.emplace_back(entry);
    after = batches.back().last();
  }
  return entries;
}

Result<void> BatchLog::AppendAfter(Index index, std::span<const LogEntry> entries) {
  RINGRAFT_TRY(last, storage_.LastPosition());
  if (index > last.index)
    return Error(Errc::kInvalidArgument,
                 fmt::format("cannot append after index {}: the log ends at {}", index, last.index));
  RINGRAFT_TRYV(CheckEntries(index, entries));
  std::vector<BatchRef> batches = ToBatches(entries, storage_.group(), kMaxBatchBytes);
  std::optional<Index> truncate_after;
  if (index < last.index) truncate_after = index;
  return storage_.Commit(std::nullopt, truncate_after, batches);
}

Result<void> BatchLog::Append(std::span<const LogEntry> entries) {
  RINGRAFT_TRY(last, storage_.LastPosition());
  return AppendAfter(last.index, entries);
}

Result<Index> BatchLog::AppendEntry(const LogEntry& entry) {
  RINGRAFT_TRY(last, storage_.LastPosition());
  LogEntry placed = entry;
  placed.index = last.index + 1;
  RINGRAFT_TRYV(AppendAfter(last.index, std::span<const LogEntry>(&placed, 1)));
  return placed.index;
}

}  // namespace ringraft::storage
