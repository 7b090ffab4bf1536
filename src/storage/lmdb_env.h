// A thin wrapper on LMDB: environment, transaction, cursor, and errors as results that name the file and the remedy.
//
// It never uses MDB_WRITEMAP (a full disk would be a SIGBUS), MDB_NOSYNC or MDB_MAPASYNC (a power cut could damage the
// file), nor MDB_DUPSORT (its cursors have known bugs in 0.9.24). LMDB commits by flushing the data pages, then writing
// the meta page, with O_DSYNC unless the caller chooses FlushMeta::kWithNextCommit. Read transactions must be short: an
// open one prevents the reuse of every page freed since.
#pragma once

#include <lmdb.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "ringraft/errc.h"

namespace ringraft::storage {

inline MDB_val ToVal(std::string_view bytes) { return MDB_val{bytes.size(), const_cast<char*>(bytes.data())}; }
inline std::string_view ToView(const MDB_val& val) {
  return std::string_view(static_cast<const char*>(val.mv_data), val.mv_size);
}

// Owned by one storage object. Precondition of the destructor: all transactions have ended.
class LmdbEnv {
 public:
  // Opens the file `path` itself (no subdirectory), and creates it if it is missing: the caller must check first if it
  // must exist. `max_bytes` bounds the file.
  static Result<std::unique_ptr<LmdbEnv>> Open(const std::string& path, size_t max_bytes);
  ~LmdbEnv();
  LmdbEnv(const LmdbEnv&) = delete;

  MDB_env* get() const { return env_; }
  const std::string& path() const { return path_; }
  size_t max_bytes() const { return max_bytes_; }
  int fd() const;
  uint64_t last_transaction() const;  // the number of the last commit
  // The bytes that the pages in use span, as of the last commit; the file may be longer.
  size_t used_bytes() const;

  // Converts an LMDB return code to an error for the operator. `doing` is a short phrase: "committing".
  Error ToError(int code, std::string_view doing) const;

 private:
  LmdbEnv(MDB_env* env, std::string path, size_t max_bytes)
      : env_(env), path_(std::move(path)), max_bytes_(max_bytes) {}

  MDB_env* env_;
  std::string path_;
  size_t max_bytes_;
};

// Aborts in its destructor unless it was committed. A write transaction stays on its thread; read transactions may
// begin on any thread, several at a time (MDB_NOTLS).
class LmdbTxn {
 public:
  static Result<LmdbTxn> BeginWrite(const LmdbEnv& env) { return Begin(env, 0); }
  static Result<LmdbTxn> BeginRead(const LmdbEnv& env) { return Begin(env, MDB_RDONLY); }
  LmdbTxn(LmdbTxn&& other) noexcept : env_(other.env_), txn_(std::exchange(other.txn_, nullptr)) {}
  LmdbTxn& operator=(LmdbTxn&& other) noexcept {
    std::swap(env_, other.env_);
    std::swap(txn_, other.txn_);
    return *this;
  }
  ~LmdbTxn() {
    if (txn_ != nullptr) mdb_txn_abort(txn_);
  }

  MDB_txn* get() const { return txn_; }
  const LmdbEnv& env() const { return *env_; }

  // kFail: kCorrupt if the table is missing.
  enum class IfMissing { kFail, kCreate };
  Result<MDB_dbi> OpenTable(const char* name, IfMissing if_missing);

  // Returns false if there is no such key. The value points into the map and is valid until the transaction ends.
  Result<bool> Get(MDB_dbi table, std::string_view key, std::string_view& value) const;
  Result<void> Put(MDB_dbi table, std::string_view key, std::string_view value);
  // Put for keys that mostly come in ascending order: cheaper, and fills pages completely. Accepts any key.
  Result<void> Append(MDB_dbi table, std::string_view key, std::string_view value);
  // LMDB's number of a write transaction: one more than that of the last commit.
  uint64_t id() const { return mdb_txn_id(txn_); }
  // kNow: durable after success. kWithNextCommit: until the next commit a power cut may undo it as a whole.
  enum class FlushMeta { kNow, kWithNextCommit };
  Result<void> Commit(FlushMeta flush_meta = FlushMeta::kNow);

 private:
  static Result<LmdbTxn> Begin(const LmdbEnv& env, unsigned flags);
  LmdbTxn(const LmdbEnv& env, MDB_txn* txn) : env_(&env), txn_(txn) {}

  const LmdbEnv* env_;
  MDB_txn* txn_;
};

// A position in a table. Precondition: its transaction outlives it.
class LmdbCursor {
 public:
  static Result<LmdbCursor> Open(const LmdbTxn& txn, MDB_dbi table);
  LmdbCursor(LmdbCursor&& other) noexcept : txn_(other.txn_), cursor_(std::exchange(other.cursor_, nullptr)) {}
  LmdbCursor& operator=(LmdbCursor&&) = delete;
  ~LmdbCursor() {
    if (cursor_ != nullptr) mdb_cursor_close(cursor_);
  }

  // Each returns false if there is no such position; otherwise key() and value() are those of the new one.
  Result<bool> Seek(std::string_view key);          // `key` or the first after it
  Result<bool> SeekBefore(std::string_view key);    // the last before `key`
  Result<bool> SeekLastUpTo(std::string_view key);  // `key` or the last before it
  Result<bool> Next() { return Move(MDB_NEXT); }
  // Removes the current entry; Next then moves to the one after it.
  Result<void> Delete();

  std::string_view key() const { return ToView(key_); }
  std::string_view value() const { return ToView(value_); }

 private:
  LmdbCursor(const LmdbTxn& txn, MDB_cursor* cursor) : txn_(&txn), cursor_(cursor) {}
  Result<bool> Move(MDB_cursor_op operation);

  const LmdbTxn* txn_;
  MDB_cursor* cursor_;
  MDB_val key_{};
  MDB_val value_{};
};

}  // namespace ringraft::storage
