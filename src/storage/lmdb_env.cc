#include "storage/lmdb_env.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "base/try.h"
#include "storage/file.h"

namespace ringraft::storage {

Result<std::unique_ptr<LmdbEnv>> LmdbEnv::Open(const std::string& path, size_t max_bytes) {
  MDB_env* raw = nullptr;
  if (int rc = mdb_env_create(&raw); rc != 0)
    return Error(Errc::kIo, fmt::format("cannot open {}: {}", path, mdb_strerror(rc)));
  std::unique_ptr<LmdbEnv> env(new LmdbEnv(raw, path, max_bytes));
  mdb_env_set_maxdbs(raw, 16);
  if (int rc = mdb_env_set_mapsize(raw, max_bytes); rc != 0) return env->ToError(rc, "setting the size of the map");
  if (int rc = mdb_env_open(raw, path.c_str(), MDB_NOSUBDIR | MDB_NOTLS, 0644); rc != 0) {
    if (rc == ENOMEM)
      return Error(Errc::kIo,
                   fmt::format("cannot map {} bytes for {}; allow more address space (ulimit -v) or lower max_bytes",
                               max_bytes, path));
    return env->ToError(rc, "opening");
  }
  // The slot of a killed reader would prevent the reuse of pages.
  int dead_readers = 0;
  if (int rc = mdb_reader_check(raw, &dead_readers); rc != 0) return env->ToError(rc, "clearing dead readers");
  return env;
}

LmdbEnv::~LmdbEnv() { mdb_env_close(env_); }

int LmdbEnv::fd() const {
  int fd = -1;
  mdb_env_get_fd(env_, &fd);
  return fd;
}

uint64_t LmdbEnv::last_transaction() const {
  MDB_envinfo info;
  return mdb_env_info(env_, &info) == 0 ? info.me_last_txnid : 0;
}

size_t LmdbEnv::used_bytes() const {
  MDB_envinfo info;
  MDB_stat stat;
  if (mdb_env_info(env_, &info) != 0 || mdb_env_stat(env_, &stat) != 0) return 0;
  return (info.me_last_pgno + 1) * stat.ms_psize;
}

Error LmdbEnv::ToError(int code, std::string_view doing) const {
  switch (code) {
    case MDB_MAP_FULL:
      return Error(
          Errc::kFull,
          fmt::format("{} has reached its limit of {} bytes; raise max_bytes and restart the node", path_, max_bytes_));
    case ENOSPC:
    case EDQUOT:
      return Error(Errc::kFull, fmt::format("no space left on the disk of {} ({}); free some and restart the node",
                                            path_, std::strerror(code)));
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
    case MDB_INCOMPATIBLE:
    case MDB_NOTFOUND:
      return Error(Errc::kCorrupt, fmt::format("{} is damaged (while {}: {}); {}", path_, doing, mdb_strerror(code),
                                               kDamageRemedy));
    case MDB_VERSION_MISMATCH:
      return Error(
          Errc::kWrongVersion,
          fmt::format("{} was written by another version of LMDB (while {}); open it with the build that wrote it",
                      path_, doing));
    default:
      return Error(Errc::kIo, fmt::format("{} failed (while {}: {}); check the disk and restart the node", path_, doing,
                                          mdb_strerror(code)));
  }
}

Result<LmdbTxn> LmdbTxn::Begin(const LmdbEnv& env, unsigned flags) {
  MDB_txn* txn = nullptr;
  if (int rc = mdb_txn_begin(env.get(), nullptr, flags, &txn); rc != 0)
    return env.ToError(rc, "beginning a transaction");
  return LmdbTxn(env, txn);
}

Result<MDB_dbi> LmdbTxn::OpenTable(const char* name, IfMissing if_missing) {
  MDB_dbi table = 0;
  unsigned flags = if_missing == IfMissing::kCreate ? MDB_CREATE : 0;
  if (int rc = mdb_dbi_open(txn_, name, flags, &table); rc != 0)
    return env_->ToError(rc, fmt::format("opening the table '{}'", name));
  return table;
}

Result<bool> LmdbTxn::Get(MDB_dbi table, std::string_view key, std::string_view& value) const {
  MDB_val key_val = ToVal(key), value_val{};
  int rc = mdb_get(txn_, table, &key_val, &value_val);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return env_->ToError(rc, "reading");
  value = ToView(value_val);
  return true;
}

Result<void> LmdbTxn::Put(MDB_dbi table, std::string_view key, std::string_view value) {
  MDB_val key_val = ToVal(key), value_val = ToVal(value);
  if (int rc = mdb_put(txn_, table, &key_val, &value_val, 0); rc != 0) return env_->ToError(rc, "writing");
  return Success();
}

Result<void> LmdbTxn::Append(MDB_dbi table, std::string_view key, std::string_view value) {
  MDB_val key_val = ToVal(key), reserved{value.size(), nullptr};
  int rc = mdb_put(txn_, table, &key_val, &reserved, MDB_APPEND | MDB_RESERVE);
  if (rc == MDB_KEYEXIST) {  // it does not sort after every other key
    reserved = MDB_val{value.size(), nullptr};
    rc = mdb_put(txn_, table, &key_val, &reserved, MDB_RESERVE);
  }
  if (rc != 0) return env_->ToError(rc, "writing");
  std::memcpy(reserved.mv_data, value.data(), value.size());
  return Success();
}

// The flag belongs to the environment, but only the commit of the one write transaction reads it.
Result<void> LmdbTxn::Commit(FlushMeta flush_meta) {
  bool is_later = flush_meta == FlushMeta::kWithNextCommit;
  if (is_later) mdb_env_set_flags(env_->get(), MDB_NOMETASYNC, 1);
  int rc = mdb_txn_commit(std::exchange(txn_, nullptr));
  if (is_later) mdb_env_set_flags(env_->get(), MDB_NOMETASYNC, 0);
  if (rc != 0) return env_->ToError(rc, "committing");
  return Success();
}

Result<LmdbCursor> LmdbCursor::Open(const LmdbTxn& txn, MDB_dbi table) {
  MDB_cursor* cursor = nullptr;
  if (int rc = mdb_cursor_open(txn.get(), table, &cursor); rc != 0) return txn.env().ToError(rc, "opening a cursor");
  return LmdbCursor(txn, cursor);
}

Result<bool> LmdbCursor::Move(MDB_cursor_op operation) {
  int rc = mdb_cursor_get(cursor_, &key_, &value_, operation);
  if (rc == MDB_NOTFOUND) return false;
  if (rc != 0) return txn_->env().ToError(rc, "reading");
  return true;
}

Result<bool> LmdbCursor::Seek(std::string_view key) {
  key_ = ToVal(key);
  return Move(MDB_SET_RANGE);
}

Result<bool> LmdbCursor::SeekBefore(std::string_view key) {
  RINGRAFT_TRY(found, Seek(key));
  return Move(found ? MDB_PREV : MDB_LAST);
}

Result<bool> LmdbCursor::SeekLastUpTo(std::string_view key) {
  RINGRAFT_TRY(found, Seek(key));
  if (found && this->key() == key) return true;
  return Move(found ? MDB_PREV : MDB_LAST);
}

Result<void> LmdbCursor::Delete() {
  if (int rc = mdb_cursor_del(cursor_, 0); rc != 0) return txn_->env().ToError(rc, "deleting");
  return Success();
}

}  // namespace ringraft::storage
