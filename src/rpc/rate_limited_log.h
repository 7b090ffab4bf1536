// A log for warnings that any unknown peer can cause: at most one line a second, which counts the suppressed ones.
#pragma once

#include <string_view>

#include "coro/loop.h"
#include "ringraft/logger.h"

namespace ringraft::rpc {

// One reactor thread.
class RateLimitedLog {
 public:
  RateLimitedLog(coro::Loop& loop, Logger& logger) : loop_(loop), logger_(logger) {}

  void Warn(std::string_view message);

 private:
  coro::Loop& loop_;
  Logger& logger_;
  TimePoint next_ = TimePoint::min();
  uint64_t suppressed_ = 0;
};

}  // namespace ringraft::rpc
