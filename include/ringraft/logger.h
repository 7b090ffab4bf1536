// Where the library's messages go.
#pragma once

#include <string_view>

namespace ringraft {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One line a message, without a line end. Called from any of the library's threads; must not block for long.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Write(LogLevel level, std::string_view message) = 0;
};

// "2026-01-31T12:00:00.000Z INFO  message" on standard error, from `least` on.
Logger& StderrLogger(LogLevel least = LogLevel::kInfo);
Logger& SilentLogger();

}  // namespace ringraft
