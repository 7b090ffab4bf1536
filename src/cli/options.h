// The command line of `ringraft`. Reads nothing but its arguments and RINGRAFT_NODES; what it accepts makes sense.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/network.h"
#include "ringraft/storage.h"

namespace ringraft::cli {

constexpr int kExitFailed = 1;  // refused, or certainly not done
constexpr int kExitUsage = 2;   // the command line makes no sense
// A request without a response in time, a wait in vain, or an order with an unknown outcome.
constexpr int kExitUnknown = 3;

enum class Command { kStatus, kMembers, kOrder, kWaitLeader, kWaitIndex, kWaitHealthy, kRecover };

struct CliOptions {
  std::vector<Addr> nodes;
  std::optional<GroupId> group;
  Duration timeout{};  // of the whole command
  Command command = Command::kStatus;
  bool json = false;     // kStatus, kMembers
  Order order;           // kOrder
  std::string done;      // what to say when the order has been carried out
  Index index;           // kWaitIndex
  uint64_t max_lag = 0;  // kWaitHealthy: in entries, of each member
  std::string directory;      // kRecover
  size_t max_bytes = LmdbOptions().max_bytes;  // kRecover: of the database file
  bool is_confirmed = false;  // kRecover: do it, and do not only show it
};

// None: go on. Otherwise the exit code: --help and --version have been printed, or one line about what is wrong.
std::optional<int> ParseCommandLine(int argc, const char* const* argv, CliOptions& options);

}  // namespace ringraft::cli
