// Durations as integers, for messages and for other programs.
#pragma once

#include <chrono>
#include <cstdint>

#include "ringraft/types.h"

namespace ringraft {

constexpr int64_t Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

constexpr int64_t Microseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace ringraft
