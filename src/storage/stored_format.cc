#include "storage/stored_format.h"

#include <fmt/format.h>

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/assert.h"
#include "base/try.h"

namespace ringraft::storage {
namespace {

void PutBigEndian(char* to, uint64_t value) {
  for (int i = 7; i >= 0; --i, value >>= 8) to[i] = static_cast<char>(value);
}

uint64_t GetBigEndian(const char* from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(from[i]);
  return value;
}

void PutLittleEndian(char* to, uint64_t value) {
  for (int i = 0; i < 8; ++i, value >>= 8) to[i] = static_cast<char>(value);
}

uint64_t GetLittleEndian(const char* from) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(from[i]);
  return value;
}

uint64_t ChecksumOf(std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), XXH3_64bits(key.data(), key.size()));
}

}  // namespace

IndexKey::IndexKey(GroupId group, Index index) {
  PutBigEndian(bytes_, group.value());
  PutBigEndian(bytes_ + 8, index.value());
}

bool ParseIndexKey(std::string_view key, GroupId group, Index& index) {
  if (key.size() != IndexKey::kSize || GetBigEndian(key.data()) != group.value()) return false;
  index = Index(GetBigEndian(key.data() + 8));
  return true;
}

ValueKey::ValueKey(GroupId group, std::string_view key) : size_(8 + key.size()) {
  RINGRAFT_ASSERT(key.size() <= kMaxStoreKeyBytes);
  PutBigEndian(bytes_, group.value());
  std::memcpy(bytes_ + 8, key.data(), key.size());
}

std::string Seal(std::string_view key, std::string_view value) {
  std::string sealed(8, '\0');
  PutLittleEndian(sealed.data(), ChecksumOf(key, value));
  sealed += value;
  return sealed;
}

Result<std::string_view> Unseal(std::string_view key, std::string_view sealed, std::string_view what) {
  if (sealed.size() < 8 || GetLittleEndian(sealed.data()) != ChecksumOf(key, sealed.substr(8)))
    return Error(Errc::kCorrupt, fmt::format("{} does not match its checksum", what));
  return sealed.substr(8);
}

std::string EncodeUint64(uint64_t value) {
  std::string bytes(8, '\0');
  PutLittleEndian(bytes.data(), value);
  return bytes;
}

Result<uint64_t> DecodeUint64(std::string_view bytes, std::string_view what) {
  if (bytes.size() != 8)
    return Error(Errc::kCorrupt, fmt::format("{} has {} bytes; a number must have 8", what, bytes.size()));
  return GetLittleEndian(bytes.data());
}

std::string EncodeHardState(const HardState& hard_state) {
  return EncodeUint64(hard_state.term.value()) + EncodeUint64(hard_state.vote.value());
}

Result<HardState> DecodeHardState(std::string_view bytes) {
  HardState hard_state;
  if (bytes.empty()) return hard_state;  // a new node
  if (bytes.size() != 16)
    return Error(Errc::kCorrupt, fmt::format("the hard state has {} bytes; it must have 16", bytes.size()));
  hard_state.term = Term(GetLittleEndian(bytes.data()));
  hard_state.vote = NodeId(GetLittleEndian(bytes.data() + 8));
  return hard_state;
}

Result<void> CheckStoreKey(std::string_view key) {
  if (!key.empty() && key.size() <= kMaxStoreKeyBytes) return Success();
  return Error(Errc::kInvalidArgument, fmt::format("a key of the store has {} bytes; it must have from 1 to {}",
                                                   key.size(), kMaxStoreKeyBytes));
}

}  // namespace ringraft::storage
