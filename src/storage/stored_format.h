// The stored formats other than the batch: keys, sealed values, the hard state. Described in schemas/stored.md. Pure
// functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::storage {

// Raised when an older build cannot read what a newer one writes. Format 1 has no redo file.
constexpr uint32_t kFormatVersion = 2;

// The key of the hard state in the `values` table: empty, which no key of the Store facet can be.
constexpr std::string_view kHardStateKey = "";
// The key of the hard state in a user's Store (AdaptStorage).
constexpr std::string_view kAdaptedHardStateKey = "ringraft/hard_state";
// The key of the batches' group in a user's Store (AdaptStorage): a user's Log has no place for it.
constexpr std::string_view kAdaptedGroupKey = "ringraft/adapted_group";

constexpr size_t kMaxStoreKeyBytes = 255;

// Group and index, both big-endian: LMDB sorts keys as bytes.
class IndexKey {
 public:
  static constexpr size_t kSize = 16;
  IndexKey(GroupId group, Index index);
  std::string_view view() const { return std::string_view(bytes_, kSize); }

 private:
  char bytes_[kSize];
};

// Returns false if the key is not an IndexKey of this group.
bool ParseIndexKey(std::string_view key, GroupId group, Index& index);

// Group, big-endian, then the key of the Store.
class ValueKey {
 public:
  ValueKey(GroupId group, std::string_view key);
  std::string_view view() const { return std::string_view(bytes_, size_); }

 private:
  char bytes_[8 + kMaxStoreKeyBytes];
  size_t size_;
};

// Prepends a checksum of the key and the value: LMDB has none, and a value under a wrong key is as wrong as a flipped
// bit. Batches have a checksum of their own and are not sealed.
std::string Seal(std::string_view key, std::string_view value);
// Returns the value, a view into `sealed`. Errors: kCorrupt, naming `what`.
Result<std::string_view> Unseal(std::string_view key, std::string_view sealed, std::string_view what);

std::string EncodeUint64(uint64_t value);  // little-endian
Result<uint64_t> DecodeUint64(std::string_view bytes, std::string_view what);
std::string EncodeHardState(const HardState& hard_state);
Result<HardState> DecodeHardState(std::string_view bytes);

// Returns kInvalidArgument for a key that no Store accepts.
Result<void> CheckStoreKey(std::string_view key);

}  // namespace ringraft::storage
