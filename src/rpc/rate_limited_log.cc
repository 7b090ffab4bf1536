#include "rpc/rate_limited_log.h"

#include <fmt/format.h>

namespace ringraft::rpc {

void RateLimitedLog::Warn(std::string_view message) {
  const TimePoint now = loop_.Now();
  if (now < next_) {
    ++left_out_;
    return;
  }
  next_ = now + std::chrono::seconds(1);
  if (left_out_ == 0) {
    logger_.Write(LogLevel::kWarning, message);
  } else {
    logger_.Write(LogLevel::kWarning, fmt::format("{} ({} similar messages left out)", message, left_out_));
  }
  left_out_ = 0;
}

}  // namespace ringraft::rpc
