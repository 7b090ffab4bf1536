#include "ringraft/logger.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace ringraft {
namespace {

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "DEBUG";
    case LogLevel::kInfo: return "INFO ";
    case LogLevel::kWarning: return "WARN ";
    case LogLevel::kError: return "ERROR";
  }
  return "?";
}

class ToStderr final : public Logger {
 public:
  explicit ToStderr(LogLevel least) : least_(least) {}

  void Write(LogLevel level, std::string_view message) override {
    if (level < least_) return;
    auto now = std::chrono::system_clock::now();
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
    std::string line = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} {}\n",
                                   fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms, Name(level), message);
    // One write per line, so that lines of several threads and processes do not mix. A failed write is ignored.
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  }

 private:
  LogLevel least_;
};

class Silent final : public Logger {
 public:
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace

Logger& StderrLogger(LogLevel least) {
  static ToStderr loggers[] = {ToStderr(LogLevel::kDebug), ToStderr(LogLevel::kInfo), ToStderr(LogLevel::kWarning),
                               ToStderr(LogLevel::kError)};
  return loggers[static_cast<int>(least)];
}

Logger& SilentLogger() {
  static Silent logger;
  return logger;
}

}  // namespace ringraft
