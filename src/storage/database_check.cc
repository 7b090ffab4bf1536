// Reads the format of LMDB 0.9 on a 64-bit little-endian machine, data version 1:
//
//   page header (16 bytes): u64 page number, u16 pad, u16 flags (8: a meta page), u32 bounds
//   meta:                   u32 magic, u32 version, u64 address, u64 map size, two table records of 48 bytes,
//                           u64 last page, u64 transaction
//   table record:           u32 pad (in the first one: the page size), u16 flags, u16 depth, u64 x 4 counts,
//                           u64 root page
#include "storage/database_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/try.h"
#include "storage/file.h"

namespace ringraft::storage {
namespace {

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kDataVersion = 1;
constexpr uint16_t kMetaPageFlag = 0x08;
constexpr uint64_t kNoPage = ~uint64_t{0};
constexpr size_t kMetaBytes = 16 + 136;

struct Meta {
  uint64_t page_number;
  uint16_t page_flags;
  uint32_t magic;
  uint32_t version;
  uint32_t page_size;
  uint64_t roots[2];
  uint64_t last_page;
};

template <class T>
T Load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

Meta ParseMeta(const char* page) {
  Meta meta;
  meta.page_number = Load<uint64_t>(page);
  meta.page_flags = Load<uint16_t>(page + 10);
  const char* body = page + 16;
  meta.magic = Load<uint32_t>(body);
  meta.version = Load<uint32_t>(body + 4);
  meta.page_size = Load<uint32_t>(body + 24);
  meta.roots[0] = Load<uint64_t>(body + 24 + 40);
  meta.roots[1] = Load<uint64_t>(body + 24 + 48 + 40);
  meta.last_page = Load<uint64_t>(body + 24 + 96);
  return meta;
}

Error Damaged(const std::string& path, std::string_view how) {
  return Error(Errc::kCorrupt, fmt::format("{} {}; {}", path, how, kDamageRemedy));
}

Result<void> CheckMeta(const std::string& path, const Meta& meta, uint64_t number, uint64_t file_bytes) {
  if (meta.magic != kMagic || meta.page_number != number || (meta.page_flags & kMetaPageFlag) == 0)
    return Damaged(path, fmt::format("is damaged: its page {} is not a meta page", number));
  if (meta.version != kDataVersion)
    return Error(Errc::kWrongVersion,
                 fmt::format("{} has the LMDB format {}; this build reads {}: open it with the build that wrote it",
                             path, meta.version, kDataVersion));
  if (meta.page_size < 512 || meta.page_size > 65536 || (meta.page_size & (meta.page_size - 1)) != 0)
    return Damaged(path,
                   fmt::format("is damaged: its meta page {} has the page size {}", number, meta.page_size));
  uint64_t pages = file_bytes / meta.page_size;
  if (meta.last_page >= pages)
    return Damaged(
        path, fmt::format("is truncated: it has {} bytes, but its last page in use ends at {}", file_bytes,
                          fmt::format("{}", (static_cast<unsigned __int128>(meta.last_page) + 1) * meta.page_size)));
  for (uint64_t root : meta.roots)
    if (root != kNoPage && (root < 2 || root > meta.last_page))
      return Damaged(path, fmt::format("is damaged: its meta page {} has a root at page {} of {}", number, root,
                                       meta.last_page + 1));
  return Success();
}

}  // namespace

Result<void> CheckDatabaseFile(const std::string& path) {
  RINGRAFT_TRY(file, OpenFile(path, O_RDONLY));
  struct stat status;
  if (fstat(file.get(), &status) != 0) return SystemError("stat", path, errno);
  if (!S_ISREG(status.st_mode)) return Damaged(path, "is not a file");
  auto file_bytes = static_cast<uint64_t>(status.st_size);
  if (file_bytes == 0) return Damaged(path, "is empty");
  char page[kMetaBytes];
  uint64_t page_size = 0;
  for (uint64_t number = 0; number < 2; ++number) {
    ssize_t size = pread(file.get(), page, sizeof page, static_cast<off_t>(number * page_size));
    if (size < 0) return SystemError("read", path, errno);
    if (static_cast<size_t>(size) < sizeof page)
      return Damaged(path, fmt::format("is truncated: it has {} bytes", file_bytes));
    Meta meta = ParseMeta(page);
    RINGRAFT_TRYV(CheckMeta(path, meta, number, file_bytes));
    page_size = meta.page_size;
  }
  return Success();
}

}  // namespace ringraft::storage
