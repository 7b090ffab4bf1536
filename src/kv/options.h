// The command line of ringraft-kv. Reads nothing but its arguments; what it accepts has been validated.
#pragma once

#include <chrono>
#include <optional>

#include "ringraft/logger.h"
#include "ringraft/options.h"

namespace ringraft::kv {

struct KvOptions {
  Options raft;
  Addr listen;
  bool joins = false;  // with an empty log: waits until a leader adds it
  std::chrono::milliseconds deadline{5000};
  LogLevel log_level = LogLevel::kInfo;
};

constexpr int kExitRuntime = 1;
constexpr int kExitUsage = 2;

// None: go on. Otherwise the exit code: --help and --version have been printed, or one line about what is wrong.
std::optional<int> ParseCommandLine(int argc, const char* const* argv, KvOptions& options);

}  // namespace ringraft::kv
