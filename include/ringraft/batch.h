// The batch: consecutive log entries of one term, made by one leader, encoded once. The same bytes go to every
// peer, into every log and back out again. A batch is immutable and shared by reference count; any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft {

// The encoded form, little-endian (schemas/stored.md says the same for readers without C++):
//
//   0  u32 magic "RRB1"        16 u64 term           40 u64 group id
//   4  u32 bytes of the body   24 u32 entries        48 u64 leader that made it
//   8  u64 base index          28 u32 flags          56 u64 XXH3 of bytes 0..55 and the body
//                              32 u64 append time, ns since 1970
//
// then for each entry: u32 length, u8 type, 3 zero bytes, the command. What a witness gets has no body.
struct BatchHeader {
  static constexpr size_t kSize = 64;
  static constexpr size_t kEntryOverhead = 8;
  static constexpr uint32_t kHasConfiguration = 1;
  static constexpr uint32_t kWithoutCommands = 2;  // the entries are counted, but not there

  Index base_index;
  Term term;
  uint32_t count = 0;
  uint32_t flags = 0;
  uint32_t body_bytes = 0;
  int64_t append_time_ns = 0;
  GroupId group;
  NodeId leader;
};

// A shared reference to an encoded batch. Null when default-constructed; everything else needs a non-null one.
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

  // Takes bytes from the wire or the disk: checks magic, sizes, entry framing and checksum. Copies them.
  // Errors: kCorrupt, with what is wrong.
  static Result<BatchRef> Decode(std::string_view bytes);

  explicit operator bool() const { return rep_ != nullptr; }
  const BatchHeader& header() const;
  std::string_view bytes() const;  // header and body, as stored and sent
  size_t size() const { return bytes().size(); }

  Index first() const { return header().base_index; }
  Index last() const { return header().base_index + (header().count - 1); }
  Term term() const { return header().term; }

  bool has_commands() const { return (header().flags & BatchHeader::kWithoutCommands) == 0; }
  // The same entries for a witness: none of them is in it. One with a configuration stays as it is.
  BatchRef WithoutCommands() const;

  // The entries, decoded one after the other; views into the batch. None if it is without commands.
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

  // The entries of [from, to] as a batch of their own. Only logs that split batches (user-written ones) need it.
  BatchRef Slice(Index from, Index to) const;

 private:
  friend class BatchBuilder;
  struct Rep;
  explicit BatchRef(Rep* rep) noexcept : rep_(rep) {}
  BatchRef Emptied(Index from, Index to) const;
  Rep* rep_ = nullptr;
};

// Collects entries into the buffer of the batch to be. One thread at a time.
class BatchBuilder {
 public:
  BatchBuilder() noexcept = default;
  BatchBuilder(BatchBuilder&&) noexcept;
  BatchBuilder& operator=(BatchBuilder&&) noexcept;
  ~BatchBuilder();

  void Add(LogEntryType type, std::string_view command);
  // Entries that are encoded already, as Add would have: `count` of them, none a configuration.
  void AddEncoded(std::string_view entries, uint32_t count);

  bool empty() const { return count_ == 0; }
  uint32_t count() const { return count_; }
  // Bytes that the sealed batch will have.
  size_t size() const;

  // Writes header and checksum. The builder is empty afterwards and may be used again. Must not be empty.
  BatchRef Seal(Index base_index, Term term, NodeId leader, GroupId group, int64_t append_time_ns);

 private:
  void Reserve(size_t more);

  BatchRef::Rep* rep_ = nullptr;
  uint32_t count_ = 0;
  uint32_t flags_ = 0;
};

// A batch of the given entries, which must be consecutive and of one term.
BatchRef MakeBatch(std::span<const LogEntry> entries, NodeId leader, GroupId group);

}  // namespace ringraft
