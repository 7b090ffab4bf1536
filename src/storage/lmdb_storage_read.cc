// Reading and recovery. Data that fails its checksum is never returned.
#include <fmt/format.h>

#include <cstring>

#include "base/format.h"
#include "base/try.h"
#include "storage/lmdb_storage.h"
#include "storage/stored_format.h"

namespace ringraft::storage {
namespace {

constexpr Index kLastPossible{UINT64_MAX};

}  // namespace

Result<BatchRef> LmdbStorage::DecodeAt(Index index, std::string_view bytes) const {
  auto batch = BatchRef::Decode(bytes);
  if (!batch)
    return Error(batch.error().code(), fmt::format("the log is corrupt at index {} in {}: {}; {}", index, env_->path(),
                                                   batch.error().message(), kDamageRemedy));
  if (batch.value().first() != index || batch.value().header().group != group_)
    return Error(
        Errc::kCorrupt,
        fmt::format("the log is corrupt at index {} in {}: the batch of index {} and group {} is in its place; {}",
                    index, env_->path(), batch.value().first(), batch.value().header().group, kDamageRemedy));
  return batch;
}

Result<LogPosition> LmdbStorage::LastOf(const LmdbTxn& txn) const {
  RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, tables_.log));
  RINGRAFT_TRY(found, cursor.SeekLastUpTo(IndexKey(group_, kLastPossible).view()));
  Index first;
  if (!found || !ParseIndexKey(cursor.key(), group_, first)) return LogPosition{};
  RINGRAFT_TRY(batch, DecodeAt(first, cursor.value()));
  return LogPosition{batch.last(), batch.term()};
}

Result<LmdbTxn> LmdbStorage::BeginRead() const {
  std::lock_guard lock(lmdb_lags_);
  return LmdbTxn::BeginRead(*env_);
}

Result<LogPosition> LmdbStorage::LastPosition() const {
  RINGRAFT_TRYV(CheckUsable());
  RINGRAFT_TRY(txn, BeginRead());
  return LastOf(txn);
}

Result<std::vector<BatchRef>> LmdbStorage::Read(Index from, size_t max_bytes) const {
  RINGRAFT_TRYV(CheckUsable());
  if (!from) from = Index(1);
  RINGRAFT_TRY(txn, BeginRead());
  RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, tables_.log));
  std::vector<BatchRef> batches;
  size_t bytes = 0;
  Index next = from;  // must be in the next batch
  RINGRAFT_TRY(found, cursor.SeekLastUpTo(IndexKey(group_, from).view()));
  Index first;
  // If no batch begins at or before `from`, one after it is an error, found below.
  if (!found || !ParseIndexKey(cursor.key(), group_, first)) {
    RINGRAFT_TRY(is_after, cursor.Seek(IndexKey(group_, from).view()));
    found = is_after;
  }
  while (found && ParseIndexKey(cursor.key(), group_, first)) {
    std::string_view value = cursor.value();
    if (!batches.empty() && bytes + value.size() > max_bytes) break;
    if (first > next || (!batches.empty() && first != next))
      return Error(Errc::kCorrupt,
                   fmt::format("the log is corrupt at index {} in {}: the next batch begins at index {}; {}", next,
                               env_->path(), first, kDamageRemedy));
    RINGRAFT_TRY(batch, DecodeAt(first, value));
    if (batch.last() >= next) {
      next = batch.last() + 1;
      bytes += batch.size();
      batches.push_back(std::move(batch));
    }
    RINGRAFT_TRY(more, cursor.Next());
    found = more;
  }
  return batches;
}

Result<std::vector<TermRun>> LmdbStorage::ReadTerms(const LmdbTxn& txn) const {
  std::vector<TermRun> terms;
  RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, tables_.terms));
  RINGRAFT_TRY(found, cursor.Seek(IndexKey(group_, Index(0)).view()));
  Index index;
  while (found && ParseIndexKey(cursor.key(), group_, index)) {
    std::string what = fmt::format("the term of index {} in {}", index, env_->path());
    RINGRAFT_TRY(bytes, Unseal(cursor.key(), cursor.value(), what));
    RINGRAFT_TRY(term, DecodeUint64(bytes, what));
    terms.push_back(TermRun{index, Term(term)});
    RINGRAFT_TRY(more, cursor.Next());
    found = more;
  }
  return terms;
}

Result<std::vector<StoredConfiguration>> LmdbStorage::ReadConfigurations(const LmdbTxn& txn) const {
  std::vector<StoredConfiguration> configurations;
  RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, tables_.configurations));
  RINGRAFT_TRY(found, cursor.Seek(IndexKey(group_, Index(0)).view()));
  Index index;
  while (found && ParseIndexKey(cursor.key(), group_, index)) {
    RINGRAFT_TRY(command, Unseal(cursor.key(), cursor.value(),
                                 fmt::format("the configuration at index {} in {}", index, env_->path())));
    configurations.push_back(StoredConfiguration{index, std::string(command)});
    RINGRAFT_TRY(more, cursor.Next());
    found = more;
  }
  return configurations;
}

Result<std::string> LmdbStorage::ReadValue(const LmdbTxn& txn, std::string_view key) const {
  ValueKey value_key(group_, key);
  std::string_view sealed;
  RINGRAFT_TRY(found, txn.Get(tables_.values, value_key.view(), sealed));
  if (!found) return std::string();
  RINGRAFT_TRY(value, Unseal(value_key.view(), sealed, fmt::format("the value of '{}' in {}", key, env_->path())));
  return std::string(value);
}

Result<void> LmdbStorage::LoadOnce() {
  if (is_loaded_) [[likely]]
    return Success();
  RINGRAFT_TRYV(Recover());
  return Success();
}

Result<RecoveredLog> LmdbStorage::Recover() {
  RINGRAFT_TRYV(CheckUsable());
  RINGRAFT_TRY(txn, BeginRead());
  RecoveredLog recovered;
  RINGRAFT_TRY(hard_state_bytes, ReadValue(txn, kHardStateKey));
  RINGRAFT_TRY(hard_state, DecodeHardState(hard_state_bytes));
  recovered.hard_state = hard_state;
  RINGRAFT_TRY(last, LastOf(txn));
  recovered.last_index = last.index;
  RINGRAFT_TRY(terms, ReadTerms(txn));
  recovered.terms = std::move(terms);
  RINGRAFT_TRY(configurations, ReadConfigurations(txn));
  recovered.configurations = std::move(configurations);
  RINGRAFT_TRYV(CheckConsistency(txn, recovered));
  is_loaded_ = true;
  last_ = last;
  terms_ = recovered.terms;
  return recovered;
}

// All tables are written in one transaction, so they disagree only if the database is damaged.
Result<void> LmdbStorage::CheckConsistency(const LmdbTxn& txn, const RecoveredLog& recovered) const {
  auto damaged = [&](const std::string& how) {
    return Error(Errc::kCorrupt, fmt::format("{} is damaged: {}; {}", env_->path(), how, kDamageRemedy));
  };
  if (recovered.terms.empty() != !recovered.last_index)
    return damaged(
        fmt::format("the log ends at index {}, but {} terms are stored", recovered.last_index, recovered.terms.size()));
  if (!recovered.terms.empty() && recovered.terms.front().first_index != Index(1))
    return damaged(fmt::format("the first term begins at index {}, not at 1", recovered.terms.front().first_index));
  Term term;
  for (const TermRun& run : recovered.terms) {
    if (run.term <= term || run.first_index > recovered.last_index)
      return damaged(fmt::format("the term {} at index {} follows the term {}, and the log ends at index {}",
                                 run.term, run.first_index, term, recovered.last_index));
    term = run.term;
    // A run begins with a batch; its header has the term at byte 16 (batch.h).
    std::string_view batch;
    RINGRAFT_TRY(found, txn.Get(tables_.log, IndexKey(group_, run.first_index).view(), batch));
    uint64_t batch_term = 0;
    if (found && batch.size() >= BatchHeader::kSize) std::memcpy(&batch_term, batch.data() + 16, sizeof batch_term);
    if (batch_term != run.term.value())
      return damaged(fmt::format("the log is corrupt at index {}: its term is stored as {}, but its batch {}",
                                 run.first_index, run.term,
                                 found ? fmt::format("has the term {}", batch_term) : "is missing"));
  }
  RINGRAFT_TRY(last, LastOf(txn));
  if (last.term != term)
    return damaged(
        fmt::format("the last entry, at index {}, has the term {}, but {} is stored", last.index, last.term, term));
  for (const StoredConfiguration& configuration : recovered.configurations)
    if (configuration.index < Index(1) || configuration.index > recovered.last_index)
      return damaged(fmt::format("a configuration is stored for index {}, but the log ends at {}",
                                 configuration.index, recovered.last_index));
  return Success();
}

Result<std::string> LmdbStorage::Values::Get(std::string_view key) const {
  RINGRAFT_TRYV(CheckStoreKey(key));
  RINGRAFT_TRYV(storage_.CheckUsable());
  RINGRAFT_TRY(txn, storage_.BeginRead());
  return storage_.ReadValue(txn, key);
}

Result<uint64_t> LmdbStorage::Values::GetUint64(std::string_view key) const {
  RINGRAFT_TRY(value, Get(key));
  if (value.empty()) return uint64_t{0};
  return DecodeUint64(value, fmt::format("the value of '{}'", key));
}

}  // namespace ringraft::storage
