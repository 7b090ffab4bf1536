// The library's log lines and their levels.
#pragma once

#include <string_view>

#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

enum class LogLevel {
  kDebug,    // details for developers of the library; operators leave it off. Nothing is written at this level yet
  kInfo,     // normal operation (role changes, connections, an operator's requests); needs no action
  kWarning,  // the node has refused something or is degraded, and continues by itself; look into it if it repeats
  kError,    // the node has stopped or will not recover by itself; act on what the message says
};

// Receives one line per message, without a line end. `Write` is called from any of the library's threads, possibly from
// several at a time; it must not throw, and must not block for long: the caller may be the reactor.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Write(LogLevel level, std::string_view message) = 0;
};

// Writes "2026-01-31T12:00:00.000Z INFO  message" to standard error, one system call a line, for levels from `least`
// on. Lives until the process ends; any thread.
Logger& StderrLogger(LogLevel least = LogLevel::kInfo);
// Drops every message. Lives until the process ends; any thread.
Logger& SilentLogger();

}  // namespace ringraft
