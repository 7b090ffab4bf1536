#include "storage/redo_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/try.h"

namespace ringraft::storage {
namespace {

constexpr uint64_t kFileMagic = 0x316f646572746672;    // "rftredo1"
constexpr uint64_t kRecordMagic = 0x3164726f63657272;  // "rrecord1"
constexpr uint64_t kHasHardState = 1;
constexpr uint64_t kHasTruncation = 2;

struct FileHeader {
  uint64_t magic = kFileMagic;
  uint64_t id = 0;
  uint64_t checksum = 0;
};

struct RecordHeader {
  uint64_t checksum = 0;  // of everything after it, batches included; seeded with the id of the file
  uint64_t magic = kRecordMagic;
  uint64_t transaction = 0;
  uint64_t group = 0;
  uint64_t flags = 0;
  uint64_t term = 0;
  uint64_t vote = 0;
  uint64_t truncate_after = 0;
  uint64_t batch_bytes = 0;
  uint64_t zeros[3] = {};
};
static_assert(sizeof(RecordHeader) == RedoFile::kHeaderBytes);

uint64_t ChecksumOf(const FileHeader& header) { return XXH3_64bits(&header, offsetof(FileHeader, checksum)); }

uint64_t ChecksumOf(const char* record, uint64_t batch_bytes, uint64_t id) {
  constexpr size_t kCovered = sizeof(RecordHeader) - sizeof(uint64_t);
  return XXH3_64bits_withSeed(record + sizeof(uint64_t), kCovered + batch_bytes, id);
}

Error Damaged(const std::string& path, std::string_view how) {
  return Error(Errc::kCorrupt, fmt::format("{} {}; {}", path, how, kDamageRemedy));
}

Result<void> ReadAt(const FileDescriptor& file, const std::string& path, uint64_t offset, char* to, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t got = pread(file.get(), to + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError("read", path, errno);
    if (got == 0) return Damaged(path, fmt::format("is truncated: it ends at {}", offset + done));
    done += static_cast<size_t>(got);
  }
  return Success();
}

}  // namespace

void RedoFile::Free::operator()(char* buffer) const { std::free(buffer); }

RedoFile::RedoFile(FileDescriptor file, std::string path, uint64_t id)
    : file_(std::move(file)), path_(std::move(path)), id_(id) {
  buffer_.reset(static_cast<char*>(std::aligned_alloc(kBlock, kSlotBytes)));
  if (buffer_ == nullptr) throw std::bad_alloc();
}

// Fills the file with zeros, so that no later write has to allocate blocks.
Result<void> RedoFile::Create(const std::string& path, uint64_t id) {
  RINGRAFT_TRY(file, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC));
  FileHeader header;
  header.id = id;
  header.checksum = ChecksumOf(header);
  std::string bytes(kFileBytes, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  RINGRAFT_TRYV(WriteText(file, bytes, path));
  if (fsync(file.get()) != 0) return SystemError("flush", path, errno);
  return Success();
}

Result<RedoFile> RedoFile::Open(const std::string& path, uint64_t id) {
  RINGRAFT_TRY(is_there, FileExists(path));
  if (!is_there) return Damaged(path, "is missing, and only it may have the last commits");
  FileHeader header;
  {
    RINGRAFT_TRY(file, OpenFile(path, O_RDONLY));
    char bytes[sizeof header];
    RINGRAFT_TRYV(ReadAt(file, path, 0, bytes, sizeof bytes));
    std::memcpy(&header, bytes, sizeof header);
  }
  if (header.magic != kFileMagic || header.checksum != ChecksumOf(header))
    return Damaged(path, "is damaged: its header is invalid");
  if (header.id != id) return Damaged(path, "belongs to another database");
  // O_DIRECT, since the page cache would only add a copy; some file systems do not support it.
  auto direct = OpenFile(path, O_RDWR | O_DSYNC | O_DIRECT);
  if (direct) return RedoFile(std::move(direct).value(), path, id);
  RINGRAFT_TRY(file, OpenFile(path, O_RDWR | O_DSYNC));
  return RedoFile(std::move(file), path, id);
}

bool RedoFile::Fits(std::span<const BatchRef> batches) {
  size_t bytes = kHeaderBytes;
  for (const BatchRef& batch : batches) bytes += sizeof(uint64_t) + batch.size();
  return bytes <= kSlotBytes;
}

Result<void> RedoFile::Write(uint64_t transaction, GroupId group, const std::optional<HardState>& hard_state,
                             std::optional<Index> truncate_after, std::span<const BatchRef> batches) {
  RINGRAFT_ASSERT(Fits(batches));
  RecordHeader header;
  header.transaction = transaction;
  header.group = group.value();
  if (hard_state) {
    header.flags |= kHasHardState;
    header.term = hard_state->term.value();
    header.vote = hard_state->vote.value();
  }
  if (truncate_after) {
    header.flags |= kHasTruncation;
    header.truncate_after = truncate_after->value();
  }
  char* end = buffer_.get() + sizeof header;
  for (const BatchRef& batch : batches) {
    uint64_t batch_size = batch.size();
    std::memcpy(end, &batch_size, sizeof batch_size);
    std::memcpy(end + sizeof batch_size, batch.bytes().data(), batch_size);
    end += sizeof batch_size + batch_size;
  }
  header.batch_bytes = static_cast<uint64_t>(end - buffer_.get()) - sizeof header;
  std::memcpy(buffer_.get(), &header, sizeof header);
  header.checksum = ChecksumOf(buffer_.get(), header.batch_bytes, id_);
  std::memcpy(buffer_.get(), &header.checksum, sizeof header.checksum);
  size_t used = static_cast<size_t>(end - buffer_.get());
  size_t size = (used + kBlock - 1) / kBlock * kBlock;
  std::memset(end, 0, size - used);
  auto offset = static_cast<off_t>(kBlock + transaction % 2 * kSlotBytes);
  ssize_t written = pwrite(file_.get(), buffer_.get(), size, offset);
  if (written == static_cast<ssize_t>(size)) [[likely]]
    return Success();
  return SystemError("write", path_, written < 0 ? errno : ENOSPC);
}

// Returns no record if the slot has no completely written one.
Result<std::optional<RedoRecord>> RedoFile::ReadSlot(int slot) const {
  uint64_t offset = kBlock + static_cast<uint64_t>(slot) * kSlotBytes;
  RINGRAFT_TRYV(ReadAt(file_, path_, offset, buffer_.get(), kSlotBytes));
  RecordHeader header;
  std::memcpy(&header, buffer_.get(), sizeof header);
  if (header.magic != kRecordMagic || header.batch_bytes > kSlotBytes - sizeof header ||
      header.checksum != ChecksumOf(buffer_.get(), header.batch_bytes, id_) ||
      header.transaction % 2 != static_cast<uint64_t>(slot))
    return std::optional<RedoRecord>();
  RedoRecord record;
  record.transaction = header.transaction;
  record.group = GroupId(header.group);
  if ((header.flags & kHasHardState) != 0) record.hard_state = HardState{Term(header.term), NodeId(header.vote)};
  if ((header.flags & kHasTruncation) != 0) record.truncate_after = Index(header.truncate_after);
  std::string_view rest(buffer_.get() + sizeof header, header.batch_bytes);
  while (!rest.empty()) {
    uint64_t size = 0;
    if (rest.size() >= sizeof size) std::memcpy(&size, rest.data(), sizeof size);
    if (size == 0 || size > rest.size() - sizeof size) return Damaged(path_, "is damaged: a batch has an invalid size");
    auto batch = BatchRef::Decode(rest.substr(sizeof size, size));
    if (!batch) return Damaged(path_, fmt::format("is damaged: {}", batch.error().message()));
    record.batches.push_back(std::move(batch).value());
    rest.remove_prefix(sizeof size + size);
  }
  return std::optional<RedoRecord>(std::move(record));
}

Result<std::vector<RedoRecord>> RedoFile::ReadAfter(uint64_t transaction) const {
  std::vector<RedoRecord> records;
  for (int slot : {0, 1}) {
    RINGRAFT_TRY(record, ReadSlot(slot));
    if (record && record->transaction > transaction) records.push_back(std::move(*record));
  }
  std::sort(records.begin(), records.end(),
            [](const RedoRecord& a, const RedoRecord& b) { return a.transaction < b.transaction; });
  uint64_t next = transaction + 1;
  for (const RedoRecord& record : records)
    if (record.transaction != next++)
      return Damaged(path_,
                     fmt::format("is newer than its database: it has the commit {}, but the database ends with {}",
                                 record.transaction, transaction));
  return records;
}

}  // namespace ringraft::storage
