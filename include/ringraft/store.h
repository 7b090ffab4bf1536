// The stable store: a few small values that survive restarts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// Keys have 1 to 255 bytes; keys with the prefix "ringraft/" are the library's. A setter returns when the value is
// durable. Setters come from one thread at a time; getters may run on other threads at the same time. Errors:
// kInvalidArgument (the key), kIo, kFull, kCorrupt.
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<void> Set(std::string_view key, std::string_view value) = 0;
  virtual Result<std::string> Get(std::string_view key) const = 0;  // empty if there is no value
  virtual Result<void> SetUint64(std::string_view key, uint64_t value) = 0;
  virtual Result<uint64_t> GetUint64(std::string_view key) const = 0;  // 0 if there is no value
};

}  // namespace ringraft
