// The last commits once more, each as one record in a file of its own: a commit is durable as soon as its record is,
// with one flush instead of LMDB's two, and LMDB follows. After a power cut the records that LMDB had not got yet are
// written into it again (write-ahead logging, physical redo).
//
// Two records are enough, transaction N in slot N mod 2. LMDB commits N with MDB_NOMETASYNC: its pages are flushed, its
// meta page is only written, and is flushed with the pages of N + 1. So when record N replaces record N - 2, LMDB has
// N - 2 for certain; and LMDB uses no page again that the trees of N - 2 or N - 1 hold.
//
//   0        header: u64 magic, u64 id (the database has it too), u64 checksum of both; zeros
//   4096     slot 0: 96 bytes of header, then each batch behind its u64 size
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
  uint64_t transaction = 0;  // LMDB's number of it, at least 1
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

  // Makes the file, or makes it anew; flushed when it returns, but not its entry in the directory.
  static Result<void> Create(const std::string& path, uint64_t id);
  // Errors: kCorrupt if it is missing, damaged, or belongs to another database; kIo.
  static Result<RedoFile> Open(const std::string& path, uint64_t id);

  // The records behind `transaction`, ascending: those whose write was cut short are not among them, for nobody was
  // told of them. Errors: kCorrupt if one is missing between them and `transaction`, kIo.
  Result<std::vector<RedoRecord>> ReadBehind(uint64_t transaction) const;

  const std::string& path() const { return path_; }

  // Whether the batches fit into a slot.
  static bool Fits(std::span<const BatchRef> batches);
  // Durable when it returns. After an error it must not be used again. Errors: kIo, kFull.
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
