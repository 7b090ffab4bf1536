// The stable store: a few small values that survive restarts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ringraft/errc.h"

namespace ringraft {

// Keys have 1 to 255 bytes; those that begin with "ringraft/" are the runtime's. Durable when a setter returns. Writing
// calls come from one thread at a time; reading ones may come from another at the same time.
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<void> Set(std::string_view key, std::string_view value) = 0;
  virtual Result<std::string> Get(std::string_view key) const = 0;  // empty if missing
  virtual Result<void> SetUint64(std::string_view key, uint64_t value) = 0;
  virtual Result<uint64_t> GetUint64(std::string_view key) const = 0;  // 0 if missing
};

}  // namespace ringraft
