// Opening and writing; reading and recovering are in lmdb_storage_read.cc.
#include "storage/lmdb_storage.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/format.h"
#include "base/try.h"
#include "storage/stored_format.h"

namespace ringraft {

Result<std::shared_ptr<Storage>> OpenLmdbStorage(const std::string& directory, LmdbOptions options) {
  RINGRAFT_TRY(storage, storage::LmdbStorage::Open(directory, options));
  return std::shared_ptr<Storage>(std::move(storage));
}

namespace storage {
namespace {

constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kRedoKey = "redo";
constexpr size_t kLeastMaxBytes = size_t{1} << 20;

}  // namespace

Result<LmdbStorage::Tables> LmdbStorage::Tables::Open(LmdbTxn& txn, LmdbTxn::IfMissing if_missing) {
  Tables tables;
  RINGRAFT_TRY(log, txn.OpenTable("log", if_missing));
  RINGRAFT_TRY(terms, txn.OpenTable("terms", if_missing));
  RINGRAFT_TRY(configurations, txn.OpenTable("configurations", if_missing));
  RINGRAFT_TRY(values, txn.OpenTable("values", if_missing));
  RINGRAFT_TRY(format, txn.OpenTable("format", if_missing));
  tables.log = log;
  tables.terms = terms;
  tables.configurations = configurations;
  tables.values = values;
  tables.format = format;
  return tables;
}

Result<std::shared_ptr<LmdbStorage>> LmdbStorage::Open(const std::string& directory, const LmdbOptions& options,
                                                       const StepHook& hook) {
  if (options.max_bytes < kLeastMaxBytes)
    return Error(Errc::kInvalidArgument,
                 fmt::format("max_bytes is {}; it must be at least {}", options.max_bytes, kLeastMaxBytes));
  RINGRAFT_TRY(data_directory, DataDirectory::Lock(directory));
  auto create = [&](const std::string& file) {
    return CreateDatabase(file, data_directory.redo_path(), options.max_bytes);
  };
  RINGRAFT_TRYV(data_directory.Prepare(create, hook));
  RINGRAFT_TRY(env, LmdbEnv::Open(data_directory.database_path(), options.max_bytes));
  std::shared_ptr<LmdbStorage> storage(new LmdbStorage(std::move(data_directory), std::move(env), options.group));
  // A write transaction, since a table handle that is opened in one stays valid for all transactions.
  RINGRAFT_TRY(txn, LmdbTxn::BeginWrite(*storage->env_));
  RINGRAFT_TRY(tables, Tables::Open(txn, LmdbTxn::IfMissing::kFail));
  storage->tables_ = tables;
  RINGRAFT_TRY(format, storage->CheckFormat(txn));
  if (format < kFormatVersion) RINGRAFT_TRYV(storage->AddRedoFile(txn));
  RINGRAFT_TRY(redo_id, storage->ReadFormat(txn, kRedoKey));
  RINGRAFT_TRYV(txn.Commit());  // usually without a change: no write, no flush
  struct stat status;
  if (fstat(storage->env_->fd(), &status) != 0) return SystemError("stat", storage->env_->path(), errno);
  storage->file_bytes_ = static_cast<size_t>(status.st_size);
  RINGRAFT_TRY(redo, RedoFile::Open(storage->directory_.redo_path(), redo_id));
  storage->redo_ = std::move(redo);
  RINGRAFT_TRYV(storage->Redo());
  return storage;
}

Result<void> LmdbStorage::CreateDatabase(const std::string& file, const std::string& redo_file, size_t max_bytes) {
  RINGRAFT_TRY(env, LmdbEnv::Open(file, max_bytes));
  RINGRAFT_TRY(txn, LmdbTxn::BeginWrite(*env));
  RINGRAFT_TRY(tables, Tables::Open(txn, LmdbTxn::IfMissing::kCreate));
  RINGRAFT_TRYV(WriteFormat(txn, tables, redo_file));
  return txn.Commit();
}

// The redo file is flushed before the database that names it gets its place, so neither exists without the other.
Result<void> LmdbStorage::WriteFormat(LmdbTxn& txn, const Tables& tables, const std::string& redo_file) {
  uint64_t redo_id = 0;
  if (getrandom(&redo_id, sizeof redo_id, 0) != sizeof redo_id) return SystemError("draw an ID for", redo_file, errno);
  RINGRAFT_TRYV(RedoFile::Create(redo_file, redo_id));
  RINGRAFT_TRYV(txn.Put(tables.format, kRedoKey, Seal(kRedoKey, EncodeUint64(redo_id))));
  return txn.Put(tables.format, kVersionKey, Seal(kVersionKey, EncodeUint64(kFormatVersion)));
}

Result<void> LmdbStorage::AddRedoFile(LmdbTxn& txn) const {
  RINGRAFT_TRYV(WriteFormat(txn, tables_, directory_.redo_path()));
  return SyncFile(directory_.path());
}

Result<uint64_t> LmdbStorage::ReadFormat(const LmdbTxn& txn, std::string_view key) const {
  std::string_view sealed;
  RINGRAFT_TRY(found, txn.Get(tables_.format, key, sealed));
  if (!found)
    return Error(
        Errc::kCorrupt,
        fmt::format("{} is not a ringraft database (no format {}); name another data directory", env_->path(), key));
  std::string what = fmt::format("the format {} of {}", key, env_->path());
  RINGRAFT_TRY(bytes, Unseal(key, sealed, what));
  return DecodeUint64(bytes, what);
}

Result<uint64_t> LmdbStorage::CheckFormat(const LmdbTxn& txn) const {
  RINGRAFT_TRY(version, ReadFormat(txn, kVersionKey));
  if (version <= kFormatVersion) return version;
  return Error(Errc::kWrongVersion, fmt::format("{} has the format {}; this build reads up to {}: use a newer build",
                                                env_->path(), version, kFormatVersion));
}

Result<void> LmdbStorage::Redo() {
  RINGRAFT_TRY(records, redo_->ReadAfter(env_->last_transaction()));
  for (const RedoRecord& record : records) {
    if (record.group != group_)
      return Error(Errc::kInvalidArgument,
                   fmt::format("{} has an unfinished commit of group {}, but this is group {}; open it with that group",
                               redo_->path(), record.group, group_));
    auto again = Commit(record.hard_state, record.truncate_after, record.batches);
    if (!again)
      return Error(again.error().code(), fmt::format("cannot redo commit {} of {}: {}", record.transaction,
                                                     redo_->path(), again.error().message()));
  }
  return Success();
}

Result<void> LmdbStorage::CheckUsable() const {
  if (!has_failed_.load(std::memory_order_acquire)) [[likely]]
    return Success();
  return failure_;
}

// After a failed write or flush the page cache may show data that the disk does not have, and a retry could succeed
// without writing it. So there is no retry.
Error LmdbStorage::Fail(const Error& error) {
  failure_ = Error(
      Errc::kIo, fmt::format("the storage is unusable after an earlier error: {}; fix its cause, then restart the node",
                             error.message()));
  has_failed_.store(true, std::memory_order_release);
  return error;
}

Result<void> LmdbStorage::Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                 std::span<const BatchRef> batches) {
  return CommitEarly(hard_state, truncate_after, batches, {});
}

Result<void> LmdbStorage::CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                      std::span<const BatchRef> batches, const OnDurable& on_durable) {
  RINGRAFT_TRYV(CheckUsable());
  RINGRAFT_TRYV(LoadOnce());
  if (truncate_after && *truncate_after >= last_.index) truncate_after.reset();  // there is nothing after it
  LogPosition base = truncate_after ? LogPosition{*truncate_after, TermAt(*truncate_after)} : last_;
  RINGRAFT_TRYV(CheckFollows(base, batches, group_));
  bool is_nothing = !hard_state && !truncate_after && batches.empty();
  if (!is_nothing) {
    size_t bytes = 0;
    for (const BatchRef& batch : batches) bytes += batch.size() + 2 * 4096;  // large values do not share pages
    if (auto grown = GrowFile(bytes); !grown) return Fail(grown.error());
    auto txn = LmdbTxn::BeginWrite(*env_);
    if (!txn) return Fail(txn.error());
    written_term_ = base.term;
    if (auto written = Write(txn.value(), hard_state, truncate_after, batches); !written) return Fail(written.error());
    if (on_durable && RedoFile::Fits(batches)) {
      // From here on readers wait for LMDB, so that they see everything that is durable.
      std::lock_guard lock(lmdb_lags_);
      auto redo = redo_->Write(txn.value().id(), group_, hard_state, truncate_after, batches);
      if (!redo) return Fail(redo.error());
      on_durable();
      if (auto committed = txn.value().Commit(LmdbTxn::FlushMeta::kWithNextCommit); !committed)
        return Fail(committed.error());
      Remember(truncate_after, batches);
      return Success();
    }
    if (auto committed = txn.value().Commit(); !committed) return Fail(committed.error());
    Remember(truncate_after, batches);
  }
  if (on_durable) on_durable();
  return Success();
}

Result<void> LmdbStorage::Write(LmdbTxn& txn, const std::optional<HardState>& hard_state,
                                std::optional<Index> truncate_after, std::span<const BatchRef> batches) {
  if (hard_state) RINGRAFT_TRYV(PutValue(txn, kHardStateKey, EncodeHardState(*hard_state)));
  if (truncate_after) RINGRAFT_TRYV(Truncate(txn, *truncate_after));
  for (const BatchRef& batch : batches) RINGRAFT_TRYV(PutBatch(txn, batch));
  return Success();
}

Result<void> LmdbStorage::PutValue(LmdbTxn& txn, std::string_view key, std::string_view value) {
  ValueKey value_key(group_, key);
  return txn.Put(tables_.values, value_key.view(), Seal(value_key.view(), value));
}

Result<void> LmdbStorage::Truncate(LmdbTxn& txn, Index after) {
  RINGRAFT_TRYV(DeleteAfter(txn, tables_.log, after));
  RINGRAFT_TRYV(DeleteAfter(txn, tables_.terms, after));
  RINGRAFT_TRYV(DeleteAfter(txn, tables_.configurations, after));
  BatchRef head;  // the remaining part of a batch that is cut in two
  {
    RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, tables_.log));
    RINGRAFT_TRY(found, cursor.SeekLastUpTo(IndexKey(group_, after).view()));
    Index first;
    if (!found || !ParseIndexKey(cursor.key(), group_, first)) return Success();
    RINGRAFT_TRY(batch, DecodeAt(first, cursor.value()));
    if (batch.last() <= after) return Success();
    head = batch.Slice(first, after);
  }
  return txn.Put(tables_.log, IndexKey(group_, head.first()).view(), head.bytes());
}

Result<void> LmdbStorage::DeleteAfter(LmdbTxn& txn, MDB_dbi table, Index after) {
  RINGRAFT_TRY(cursor, LmdbCursor::Open(txn, table));
  RINGRAFT_TRY(found, cursor.Seek(IndexKey(group_, after + 1).view()));
  Index index;
  while (found && ParseIndexKey(cursor.key(), group_, index)) {
    RINGRAFT_TRYV(cursor.Delete());
    RINGRAFT_TRY(more, cursor.Next());
    found = more;
  }
  return Success();
}

Result<void> LmdbStorage::PutBatch(LmdbTxn& txn, const BatchRef& batch) {
  IndexKey key(group_, batch.first());
  RINGRAFT_TRYV(txn.Append(tables_.log, key.view(), batch.bytes()));
  if (batch.term() != written_term_) {
    written_term_ = batch.term();
    RINGRAFT_TRYV(txn.Put(tables_.terms, key.view(), Seal(key.view(), EncodeUint64(batch.term().value()))));
  }
  if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) return Success();
  for (LogEntry entry : batch) {
    if (entry.type != LogEntryType::kConfiguration) continue;
    IndexKey entry_key(group_, entry.index);
    RINGRAFT_TRYV(txn.Put(tables_.configurations, entry_key.view(), Seal(entry_key.view(), entry.command)));
  }
  return Success();
}

// Keeps the file longer than the pages that the next commit may use, so that a file shorter than LMDB's last page has
// certainly been truncated. (LMDB alone does not ensure that: it never writes pages at the end that it allocates and
// frees in one transaction.) Besides the data a commit writes a few pages of each tree and the list of free pages, at
// most 8 bytes for each.
Result<void> LmdbStorage::GrowFile(size_t more) {
  constexpr size_t kMiB = size_t{1} << 20;
  size_t used = env_->used_bytes();
  size_t needed = used + more + used / 512 + kMiB;
  if (needed <= file_bytes_) [[likely]]
    return Success();
  size_t grown = std::min(needed + std::clamp(used / 8, kMiB, 64 * kMiB), std::max(env_->max_bytes(), used));
  grown = grown / 4096 * 4096;
  if (grown <= file_bytes_) return Success();
  if (ftruncate(env_->fd(), static_cast<off_t>(grown)) != 0) return SystemError("grow", env_->path(), errno);
  file_bytes_ = grown;
  return Success();
}

void LmdbStorage::Remember(std::optional<Index> truncate_after, std::span<const BatchRef> batches) {
  if (truncate_after) {
    last_ = LogPosition{*truncate_after, TermAt(*truncate_after)};
    while (!terms_.empty() && terms_.back().first_index > *truncate_after) terms_.pop_back();
  }
  for (const BatchRef& batch : batches) {
    if (batch.term() != last_.term) terms_.push_back(TermRun{batch.first(), batch.term()});
    last_ = LogPosition{batch.last(), batch.term()};
  }
}

Term LmdbStorage::TermAt(Index index) const {
  Term term;
  for (const TermRun& run : terms_) {
    if (run.first_index > index) break;
    term = run.term;
  }
  return index ? term : Term(0);
}

Result<void> LmdbStorage::Values::Set(std::string_view key, std::string_view value) {
  RINGRAFT_TRYV(CheckStoreKey(key));
  RINGRAFT_TRYV(storage_.CheckUsable());
  if (auto grown = storage_.GrowFile(value.size()); !grown) return storage_.Fail(grown.error());
  auto txn = LmdbTxn::BeginWrite(*storage_.env_);
  if (!txn) return storage_.Fail(txn.error());
  if (auto put = storage_.PutValue(txn.value(), key, value); !put) return storage_.Fail(put.error());
  if (auto committed = txn.value().Commit(); !committed) return storage_.Fail(committed.error());
  return Success();
}

Result<void> LmdbStorage::Values::SetUint64(std::string_view key, uint64_t value) {
  return Set(key, EncodeUint64(value));
}

}  // namespace storage
}  // namespace ringraft
