// The default storage: one LMDB environment, one transaction per commit, one value per batch. Small commits that a
// caller waits for are made durable by the redo file, before LMDB has them (redo_file.h).
//
// Tables (schemas/stored.md): `log`, `terms`, `configurations`, `values`, `format`. Every value has a checksum, which
// is verified when it is read. After a failed commit the object refuses all further use: what the disk has kept is
// unknown, and LMDB would continue as if nothing had happened.
#pragma once

#include <lmdb.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/batch_log.h"
#include "storage/data_directory.h"
#include "storage/lmdb_env.h"
#include "storage/redo_file.h"

namespace ringraft::storage {

class LmdbStorage final : public BatchStorage {
 public:
  // OpenLmdbStorage; tests pass a hook that is called after each step of a first start.
  static Result<std::shared_ptr<LmdbStorage>> Open(const std::string& directory, const LmdbOptions& options,
                                                   const StepHook& hook = {});

  Result<RecoveredLog> Recover() override;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override;
  Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                           std::span<const BatchRef> batches, const OnDurable& on_durable) override;
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override;
  ringraft::Log& Log() override { return log_; }
  ringraft::Store& Store() override { return store_; }

  GroupId group() const override { return group_; }
  Result<LogPosition> LastPosition() const override;

 private:
  struct Tables {
    MDB_dbi log = 0, terms = 0, configurations = 0, values = 0, format = 0;
    static Result<Tables> Open(LmdbTxn& txn, LmdbTxn::IfMissing if_missing);
  };

  // The Store facet, on the table `values`.
  class Values final : public ringraft::Store {
   public:
    explicit Values(LmdbStorage& storage) : storage_(storage) {}
    Result<void> Set(std::string_view key, std::string_view value) override;
    Result<std::string> Get(std::string_view key) const override;
    Result<void> SetUint64(std::string_view key, uint64_t value) override;
    Result<uint64_t> GetUint64(std::string_view key) const override;

   private:
    LmdbStorage& storage_;
  };

  LmdbStorage(DataDirectory directory, std::unique_ptr<LmdbEnv> env, GroupId group)
      : directory_(std::move(directory)), env_(std::move(env)), group_(group) {}

  static Result<void> CreateDatabase(const std::string& file, const std::string& redo_file, size_t max_bytes);
  Result<uint64_t> ReadFormat(const LmdbTxn& txn, std::string_view key) const;
  static Result<void> WriteFormat(LmdbTxn& txn, const Tables& tables, const std::string& redo_file);
  Result<void> AddRedoFile(LmdbTxn& txn) const;            // to a database of format 1
  Result<uint64_t> CheckFormat(const LmdbTxn& txn) const;  // its version
  Result<void> Redo();  // commits the records that LMDB did not have when the process or the power failed

  // Reading; `txn` is any transaction.
  Result<LmdbTxn> BeginRead() const;  // sees everything that is durable; waits for LMDB to catch up
  Result<LogPosition> LastOf(const LmdbTxn& txn) const;
  Result<BatchRef> DecodeAt(Index index, std::string_view bytes) const;
  Result<std::vector<TermRun>> ReadTerms(const LmdbTxn& txn) const;
  Result<std::vector<StoredConfiguration>> ReadConfigurations(const LmdbTxn& txn) const;
  Result<std::string> ReadValue(const LmdbTxn& txn, std::string_view key) const;
  Result<void> CheckConsistency(const LmdbTxn& txn, const RecoveredLog& recovered) const;

  // Writing; storage thread only.
  Result<void> LoadOnce();  // the fields of the storage thread, below
  Term TermAt(Index index) const;
  Result<void> Write(LmdbTxn& txn, const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                     std::span<const BatchRef> batches);
  Result<void> PutValue(LmdbTxn& txn, std::string_view key, std::string_view value);
  Result<void> Truncate(LmdbTxn& txn, Index after);
  Result<void> DeleteAfter(LmdbTxn& txn, MDB_dbi table, Index after);
  Result<void> PutBatch(LmdbTxn& txn, const BatchRef& batch);
  Result<void> GrowFile(size_t more);
  void Remember(std::optional<Index> truncate_after, std::span<const BatchRef> batches);

  Result<void> CheckUsable() const;
  Error Fail(const Error& error);  // from now on all use is refused

  DataDirectory directory_;  // first, so that the lock is released last
  std::unique_ptr<LmdbEnv> env_;
  std::optional<RedoFile> redo_;  // set by Open
  GroupId group_;
  mutable std::mutex lmdb_lags_;  // held while a commit is durable in the redo file, and LMDB does not have it yet
  Tables tables_;
  BatchLog log_{*this};
  Values store_{*this};

  // Storage thread only: the end of the log and its terms, as committed.
  bool is_loaded_ = false;
  LogPosition last_;
  std::vector<TermRun> terms_;
  size_t file_bytes_ = 0;
  Term written_term_;  // of the last batch in the current write transaction

  std::atomic<bool> has_failed_{false};
  Error failure_;  // written once, before has_failed_
};

}  // namespace ringraft::storage
