// Assertions of invariants, on in release builds too. A broken one aborts the process, which can no longer be trusted.
#pragma once

namespace ringraft::base {
[[noreturn]] void AssertFailed(const char* condition, const char* file, int line) noexcept;
}  // namespace ringraft::base

#define RINGRAFT_ASSERT(condition)                                    \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::ringraft::base::AssertFailed(#condition, __FILE__, __LINE__); \
  } while (false)
