// A redo log of LMDB's last two commits: it makes a commit durable with one flush instead of two.
//
// Problem: LMDB makes a commit durable with two flushes in a row, of the data pages and then of the meta page that
// points to them, so a proposal waits twice for the disk.
//
// Naive: leave out a flush. With MDB_NOMETASYNC a power cut may undo the last commit, which has been acknowledged. With
// MDB_NOSYNC it may leave a meta page without its data pages: the database is corrupt.
//
// Instead a commit is first written as one record to this file, with one synchronous write. Then it is durable and is
// reported, and LMDB catches up with MDB_NOMETASYNC. At startup the records that LMDB lacks are committed again
// (physical redo). Record N goes to slot N mod 2:
//
//   commit   redo file                              LMDB
//   N        record N, durable; commit reported     pages of N flushed; meta page of N written, not flushed
//   N + 1    record N + 1, durable; reported        pages of N + 1 flushed, and with them the meta page of N
//   N + 2    record N + 2 replaces record N         which LMDB now has for certain
//
// Why two slots are enough: when record N replaces record N - 2, the meta page of N - 2 has been flushed; and LMDB
// never reuses a page of the trees of N - 2 or N - 1 in transaction N, so whichever of their meta pages survives a
// power cut, its tree is intact.
//
// Costs: such a commit is written twice, and readers wait until LMDB has caught up (LmdbStorage::BeginRead). Commits
// that are larger than a slot, or for which no caller waits, are left to LMDB with both flushes.
//
// Format (schemas/stored.md):
//   0        header: u64 magic, u64 id (also stored in the database), u64 checksum of both; zeros
//   4096     slot 0: a header of 96 bytes, then the batches, each after its u64 size
//   ...      slot 1
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ringraft/storage.h"
#include "storage/file.h"

namespace ringraft::storage {

struct RedoRecord {
  uint64_t transaction = 0;  // LMDB's number of the commit, at least 1
  GroupId group;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_after;
  std::vector<BatchRef> batches;
};

// One thread at a time.
class RedoFile {
 public:
  static constexpr size_t kBlock = 4096;
  static constexpr size_t kHeaderBytes = 96;
  static constexpr size_t kSlotBytes = size_t{256} << 10;
  static constexpr size_t kFileBytes = kBlock + 2 * kSlotBytes;

  // Creates or overwrites the file and flushes it, but not its entry in the directory.
  static Result<void> Create(const std::string& path, uint64_t id);
  // Errors: kCorrupt if it is missing, damaged, or belongs to another database; kIo.
  static Result<RedoFile> Open(const std::string& path, uint64_t id);

  // The records of commits after `transaction`, ascending. Partly written records are left out: their commits were
  // never reported. Errors: kCorrupt if a record between them and `transaction` is missing, kIo.
  Result<std::vector<RedoRecord>> ReadAfter(uint64_t transaction) const;

  const std::string& path() const { return path_; }

  // Returns true if the batches fit into a slot.
  static bool Fits(std::span<const BatchRef> batches);
  // The record is durable when it returns. After an error the file must not be used again. Errors: kIo, kFull.
  Result<void> Write(uint64_t transaction, GroupId group, const std::optional<HardState>& hard_state,
                     std::optional<Index> truncate_after, std::span<const BatchRef> batches);

 private:
  struct Free {
    void operator()(char* buffer) const;
  };

  RedoFile(FileDescriptor file, std::string path, uint64_t id);
  Result<std::optional<RedoRecord>> ReadSlot(int slot) const;

  FileDescriptor file_;
  std::string path_;
  uint64_t id_;
  std::unique_ptr<char, Free> buffer_;  // a slot, aligned for direct writes
};

}  // namespace ringraft::storage
