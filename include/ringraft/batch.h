// The batch: consecutive log entries of one term, created by one leader and encoded once. The same bytes are on the
// wire, in every log and in memory. A batch is immutable and shared by reference count; any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// The encoded form, little-endian (also described in schemas/stored.md):
//
//   0  u32 magic "RRB1"        16 u64 term           40 u64 group ID
//   4  u32 bytes of the body   24 u32 entries        48 u64 leader that created it
//   8  u64 base index          28 u32 flags          56 u64 XXH3 of bytes 0..55 and the body
//                              32 u64 append time, ns since 1970
//
// then for each entry: u32 length, u8 type, 3 zero bytes, the command. A batch for a witness has no body.
struct BatchHeader {
  static constexpr size_t kSize = 64;
  static constexpr size_t kEntryOverhead = 8;
  static constexpr uint32_t kHasConfiguration = 1;
  static constexpr uint32_t kWithoutCommands = 2;  // `count` entries without their bytes: for a witness

  Index base_index;
  Term term;
  uint32_t count = 0;
  uint32_t flags = 0;
  uint32_t body_bytes = 0;
  int64_t append_time_ns = 0;
  GroupId group;
  NodeId leader;
};

// A shared reference to an encoded batch, or null. Precondition of every member but `operator bool`: not null.
class BatchRef {
 public:
  BatchRef() noexcept = default;
  BatchRef(const BatchRef& other) noexcept;
  BatchRef(BatchRef&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  BatchRef& operator=(BatchRef other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~BatchRef();

  // Copies bytes that come from the wire or the disk, and checks magic, sizes, entry framing and checksum. Errors:
  // kCorrupt, naming the defect.
  static Result<BatchRef> Decode(std::string_view bytes);

  explicit operator bool() const { return rep_ != nullptr; }
  const BatchHeader& header() const;
  std::string_view bytes() const;  // header and body, as stored and sent
  size_t size() const { return bytes().size(); }

  Index first() const { return header().base_index; }
  Index last() const { return header().base_index + (header().count - 1); }
  Term term() const { return header().term; }

  bool has_commands() const { return (header().flags & BatchHeader::kWithoutCommands) == 0; }
  // The batch for a witness: the same indexes and term, without the entries. A batch with a configuration is returned
  // unchanged.
  BatchRef WithoutCommands() const;

  // Iterates over the entries; their commands point into the batch. Empty for a batch without commands.
  class Iterator {
   public:
    LogEntry operator*() const;
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return position_ == other.position_; }

   private:
    friend class BatchRef;
    const BatchHeader* header_ = nullptr;
    const char* position_ = nullptr;
    Index index_;
  };
  Iterator begin() const;
  Iterator end() const;

  // A batch of the entries [from, to]. Needed only for logs that split batches (user-written ones).
  BatchRef Slice(Index from, Index to) const;

 private:
  friend class BatchBuilder;
  struct Rep;
  explicit BatchRef(Rep* rep) noexcept : rep_(rep) {}
  BatchRef Emptied(Index from, Index to) const;
  Rep* rep_ = nullptr;
};

// Collects entries in the buffer of a future batch. One thread at a time.
class BatchBuilder {
 public:
  BatchBuilder() noexcept = default;
  BatchBuilder(BatchBuilder&&) noexcept;
  BatchBuilder& operator=(BatchBuilder&&) noexcept;
  ~BatchBuilder();

  void Add(LogEntryType type, std::string_view command);
  // Adds `count` entries that `AppendEntry` has encoded, none of them a configuration.
  void AddEncoded(std::string_view entries, uint32_t count);

  bool empty() const { return count_ == 0; }
  uint32_t count() const { return count_; }
  // The size in bytes of the batch that `Seal` would return.
  size_t size() const;

  // Writes header and checksum and returns the batch. Precondition: not empty. The builder is empty afterwards and may
  // be used again.
  BatchRef Seal(Index base_index, Term term, NodeId leader, GroupId group, int64_t append_time_ns);

 private:
  void Reserve(size_t more);

  BatchRef::Rep* rep_ = nullptr;
  uint32_t count_ = 0;
  uint32_t flags_ = 0;
};

// Appends one entry to `to`, encoded as `BatchBuilder::Add` does.
void AppendEntry(LogEntryType type, std::string_view command, std::string& to);

// A batch of the given entries. Precondition: at least one, consecutive, of one term.
BatchRef MakeBatch(std::span<const LogEntry> entries, NodeId leader, GroupId group);

}  // namespace ringraft
