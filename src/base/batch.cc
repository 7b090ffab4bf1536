// The encoding of batches, as laid out in ringraft/batch.h. Needs a little-endian host, such as x86-64 and arm64.
#include "ringraft/batch.h"

#include <bit>
#include <cstring>
#include <new>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"

namespace ringraft {

static_assert(std::endian::native == std::endian::little, "stored and wire formats are copied from memory as they are");

// One allocation: this, then the encoded bytes, aligned to a cache line (and so to Cap'n Proto's words).
struct alignas(64) BatchRef::Rep {
  std::atomic<uint32_t> references{1};
  BatchHeader header;
  size_t size = BatchHeader::kSize;  // encoded bytes, header included
  size_t capacity = 0;

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }

  static Rep* New(size_t capacity) {
    void* memory = ::operator new(sizeof(Rep) + capacity, std::align_val_t(alignof(Rep)));
    Rep* rep = new (memory) Rep;
    rep->capacity = capacity;
    return rep;
  }
  static void Delete(Rep* rep) {
    rep->~Rep();
    ::operator delete(rep, std::align_val_t(alignof(Rep)));
  }
};

namespace {

constexpr uint32_t kMagic = 0x31425252;  // "RRB1"

template <class T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void Put(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

uint64_t Checksum(const char* bytes, size_t size) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, bytes, BatchHeader::kSize - 8);
  XXH3_64bits_update(&state, bytes + BatchHeader::kSize, size - BatchHeader::kSize);
  return XXH3_64bits_digest(&state);
}

void EncodeHeader(char* to, const BatchHeader& header, size_t size) {
  Put<uint32_t>(to, kMagic);
  Put<uint32_t>(to + 4, header.body_bytes);
  Put<uint64_t>(to + 8, header.base_index.value());
  Put<uint64_t>(to + 16, header.term.value());
  Put<uint32_t>(to + 24, header.count);
  Put<uint32_t>(to + 28, header.flags);
  Put<int64_t>(to + 32, header.append_time_ns);
  Put<uint64_t>(to + 40, header.group.value());
  Put<uint64_t>(to + 48, header.leader.value());
  Put<uint64_t>(to + 56, Checksum(to, size));
}

BatchHeader DecodeHeader(const char* from) {
  BatchHeader header;
  header.body_bytes = Load<uint32_t>(from + 4);
  header.base_index = Index(Load<uint64_t>(from + 8));
  header.term = Term(Load<uint64_t>(from + 16));
  header.count = Load<uint32_t>(from + 24);
  header.flags = Load<uint32_t>(from + 28);
  header.append_time_ns = Load<int64_t>(from + 32);
  header.group = GroupId(Load<uint64_t>(from + 40));
  header.leader = NodeId(Load<uint64_t>(from + 48));
  return header;
}

void EncodeEntry(char* to, LogEntryType type, std::string_view command) {
  Put<uint32_t>(to, static_cast<uint32_t>(command.size()));
  Put<uint32_t>(to + 4, static_cast<uint32_t>(type));
  if (!command.empty()) std::memcpy(to + BatchHeader::kEntryOverhead, command.data(), command.size());
}

Error Corrupt(std::string_view defect) { return Error(Errc::kCorrupt, fmt::format("corrupt batch: {}", defect)); }

// The checksum does not show that an entry's length stays inside the body: a peer may send anything with a valid one.
Result<void> CheckEntries(const BatchHeader& header, std::string_view body) {
  if (header.flags == BatchHeader::kWithoutCommands) {
    if (body.empty()) return Success();
    return Corrupt("it is flagged as without commands and has a body");
  }
  if ((header.flags & ~BatchHeader::kHasConfiguration) != 0)
    return Corrupt(fmt::format("its flags {:#x} are unknown or contradict each other", header.flags));
  size_t at = 0;
  bool has_configuration = false;
  for (uint32_t i = 0; i < header.count; ++i) {
    if (body.size() - at < BatchHeader::kEntryOverhead)
      return Corrupt(fmt::format("it has {} entries; its header says {}", i, header.count));
    uint32_t length = Load<uint32_t>(body.data() + at);
    uint8_t type = static_cast<uint8_t>(body[at + 4]);
    at += BatchHeader::kEntryOverhead;
    if (length > body.size() - at)
      return Corrupt(fmt::format("its entry {} is longer than the batch", i));
    if (type < 1 || type > 3) return Corrupt(fmt::format("its entry {} has unknown type {}; expected 1 to 3", i, type));
    has_configuration |= type == static_cast<uint8_t>(LogEntryType::kConfiguration);
    at += length;
  }
  if (at != body.size()) return Corrupt("it is longer than its entries");
  if (has_configuration != ((header.flags & BatchHeader::kHasConfiguration) != 0))
    return Corrupt("its configuration flag does not match its entries");
  return Success();
}

}  // namespace

BatchRef::BatchRef(const BatchRef& other) noexcept : rep_(other.rep_) {
  if (rep_ != nullptr) rep_->references.fetch_add(1, std::memory_order_relaxed);
}

BatchRef::~BatchRef() {
  if (rep_ != nullptr && rep_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) Rep::Delete(rep_);
}

Result<BatchRef> BatchRef::Decode(std::string_view bytes) {
  if (bytes.size() < BatchHeader::kSize)
    return Corrupt(fmt::format("its {} bytes are fewer than the {} of its header", bytes.size(), BatchHeader::kSize));
  if (Load<uint32_t>(bytes.data()) != kMagic) return Corrupt("it does not begin with the magic number");
  BatchHeader header = DecodeHeader(bytes.data());
  if (header.body_bytes != bytes.size() - BatchHeader::kSize)
    return Corrupt(
        fmt::format("{} bytes follow its header, which says {}", bytes.size() - BatchHeader::kSize, header.body_bytes));
  if (Load<uint64_t>(bytes.data() + 56) != Checksum(bytes.data(), bytes.size()))
    return Error(Errc::kCorrupt, fmt::format("the batch at index {} fails its checksum", header.base_index));
  if (header.count == 0 || !header.base_index || !header.term || header.base_index.value() > UINT64_MAX / 2)
    return Corrupt("it has no entries, or an index or term out of range");
  RINGRAFT_TRYV(CheckEntries(header, bytes.substr(BatchHeader::kSize)));
  Rep* rep = Rep::New(bytes.size());
  std::memcpy(rep->bytes(), bytes.data(), bytes.size());
  rep->size = bytes.size();
  rep->header = header;
  return BatchRef(rep);
}

const BatchHeader& BatchRef::header() const {
  RINGRAFT_ASSERT(rep_ != nullptr);
  return rep_->header;
}

std::string_view BatchRef::bytes() const {
  RINGRAFT_ASSERT(rep_ != nullptr);
  return std::string_view(rep_->bytes(), rep_->size);
}

LogEntry BatchRef::Iterator::operator*() const {
  return LogEntry(index_, header_->term, static_cast<LogEntryType>(position_[4]),
                  std::string_view(position_ + BatchHeader::kEntryOverhead, Load<uint32_t>(position_)),
                  std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
                      std::chrono::nanoseconds(header_->append_time_ns))));
}

BatchRef::Iterator& BatchRef::Iterator::operator++() {
  position_ += BatchHeader::kEntryOverhead + Load<uint32_t>(position_);
  ++index_;
  return *this;
}

BatchRef::Iterator BatchRef::begin() const {
  Iterator at;
  at.header_ = &header();
  at.position_ = rep_->bytes() + BatchHeader::kSize;
  at.index_ = first();
  return at;
}

BatchRef::Iterator BatchRef::end() const {
  Iterator at;
  at.position_ = rep_->bytes() + rep_->size;
  return at;
}

BatchRef BatchRef::WithoutCommands() const {
  if ((header().flags & BatchHeader::kHasConfiguration) != 0) return *this;
  return Emptied(first(), last());
}

BatchRef BatchRef::Emptied(Index from, Index to) const {
  Rep* rep = Rep::New(BatchHeader::kSize);
  rep->header = header();
  rep->header.base_index = from;
  rep->header.count = static_cast<uint32_t>(to - from + 1);
  rep->header.flags = BatchHeader::kWithoutCommands;
  rep->header.body_bytes = 0;
  EncodeHeader(rep->bytes(), rep->header, rep->size);
  return BatchRef(rep);
}

BatchRef BatchRef::Slice(Index from, Index to) const {
  RINGRAFT_ASSERT(first() <= from && from <= to && to <= last());
  if (!has_commands()) return Emptied(from, to);
  BatchBuilder builder;
  for (LogEntry entry : *this)
    if (entry.index >= from && entry.index <= to) builder.Add(entry.type, entry.command);
  return builder.Seal(from, term(), header().leader, header().group, header().append_time_ns);
}

BatchBuilder::BatchBuilder(BatchBuilder&& other) noexcept
    : rep_(std::exchange(other.rep_, nullptr)),
      count_(std::exchange(other.count_, 0)),
      flags_(std::exchange(other.flags_, 0)) {}

BatchBuilder& BatchBuilder::operator=(BatchBuilder&& other) noexcept {
  std::swap(rep_, other.rep_);
  std::swap(count_, other.count_);
  std::swap(flags_, other.flags_);
  return *this;
}

BatchBuilder::~BatchBuilder() {
  if (rep_ != nullptr) BatchRef::Rep::Delete(rep_);
}

size_t BatchBuilder::size() const { return rep_ != nullptr ? rep_->size : BatchHeader::kSize; }

void BatchBuilder::Reserve(size_t more) {
  size_t needed = size() + more;
  if (rep_ != nullptr && needed <= rep_->capacity) return;
  size_t capacity = 1024;
  while (capacity < needed) capacity *= 2;
  BatchRef::Rep* bigger = BatchRef::Rep::New(capacity);
  if (rep_ != nullptr) {
    std::memcpy(bigger->bytes() + BatchHeader::kSize, rep_->bytes() + BatchHeader::kSize,
                rep_->size - BatchHeader::kSize);
    bigger->size = rep_->size;
    BatchRef::Rep::Delete(rep_);
  }
  rep_ = bigger;
}

void BatchBuilder::Add(LogEntryType type, std::string_view command) {
  Reserve(BatchHeader::kEntryOverhead + command.size());
  EncodeEntry(rep_->bytes() + rep_->size, type, command);
  rep_->size += BatchHeader::kEntryOverhead + command.size();
  if (type == LogEntryType::kConfiguration) flags_ |= BatchHeader::kHasConfiguration;
  ++count_;
}

void BatchBuilder::AddEncoded(std::string_view entries, uint32_t count) {
  Reserve(entries.size());
  std::memcpy(rep_->bytes() + rep_->size, entries.data(), entries.size());
  rep_->size += entries.size();
  count_ += count;
}

BatchRef BatchBuilder::Seal(Index base_index, Term term, NodeId leader, GroupId group, int64_t append_time_ns) {
  RINGRAFT_ASSERT(count_ > 0);
  RINGRAFT_ASSERT(rep_->size - BatchHeader::kSize <= UINT32_MAX);
  BatchHeader& header = rep_->header;
  header.base_index = base_index;
  header.term = term;
  header.count = std::exchange(count_, 0);
  header.flags = std::exchange(flags_, 0);
  header.body_bytes = static_cast<uint32_t>(rep_->size - BatchHeader::kSize);
  header.append_time_ns = append_time_ns;
  header.group = group;
  header.leader = leader;
  EncodeHeader(rep_->bytes(), header, rep_->size);
  return BatchRef(std::exchange(rep_, nullptr));
}

void AppendEntry(LogEntryType type, std::string_view command, std::string& to) {
  const size_t at = to.size();
  to.resize(at + BatchHeader::kEntryOverhead + command.size());
  EncodeEntry(to.data() + at, type, command);
}

BatchRef MakeBatch(std::span<const LogEntry> entries, NodeId leader, GroupId group) {
  RINGRAFT_ASSERT(!entries.empty());
  BatchBuilder builder;
  for (size_t i = 0; i < entries.size(); ++i) {
    RINGRAFT_ASSERT(entries[i].index == entries[0].index + i);
    RINGRAFT_ASSERT(entries[i].term == entries[0].term);
    builder.Add(entries[i].type, entries[i].command);
  }
  auto since_epoch = entries[0].append_time.time_since_epoch();
  return builder.Seal(entries[0].index, entries[0].term, leader, group,
                      std::chrono::duration_cast<std::chrono::nanoseconds>(since_epoch).count());
}

}  // namespace ringraft
