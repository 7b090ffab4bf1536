#include "rpc/rate_limited_log.h"

#include <fmt/format.h>

namespace ringraft::rpc {

void RateLimitedLog::Warn(std::string_view message) {
  const TimePoint now = loop_.Now();
  if (now < next_) {
    ++suppressed_;
    return;
  }
  next_ = now + std::chrono::seconds(1);
  if (suppressed_ == 0) {
    logger_.Write(LogLevel::kWarning, message);
  } else {
    logger_.Write(LogLevel::kWarning, fmt::format("{} ({} earlier warnings suppressed)", message, suppressed_));
  }
  suppressed_ = 0;
}

}  // namespace ringraft::rpc
