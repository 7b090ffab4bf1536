// The command line of the three subcommands, and what may be asked of a load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/options.h"

namespace ringraft::bench {

enum class StoreKind { kLmdb, kMemory };
const char* ToString(StoreKind kind);
Result<StoreKind> ParseStore(const std::string& text);

// Closed-loop clients: each has one call in flight, and makes the next when it has the answer.
struct LoadSpec {
  size_t payload = 128;       // bytes of one command; 8 .. 64 MiB
  size_t outstanding = 1024;  // clients, so calls in flight; 1 .. 1 M
  size_t batch = 1;           // commands of one call; 1 .. 1 M
  unsigned threads = 0;       // that the clients run on; 0: the reactor's own; .. 64
  double seconds = 5;         // measured; up to a day
  double warmup = 1;          // before

  // Names the first wrong value and its limits.
  Result<void> Validate() const;
  // The default limits, raised as far as this load needs it.
  Limits LimitsForIt() const;
};

struct LocalOptions {
  unsigned nodes = 3;  // 1 .. kMaxNodes
  LoadSpec load;
  StoreKind store = StoreKind::kLmdb;
  std::string parent_dir = ".";  // the data lies in a fresh directory in it
  bool keep = false;
  bool allow_tmpfs = false;
  bool json = false;
};

struct NodeOptions {
  uint64_t id = 0;
  std::vector<std::string> peers;
  std::string data_dir;
  StoreKind store = StoreKind::kLmdb;
  bool lead = false;     // shorter election timeouts than a node without it
  std::string control;   // host:port that `load` talks to
  LoadSpec largest;      // the limits are made for it
  int counters_fd = -1;  // from `local`
  int parent_pid = 0;    // from `local`: end with it
};

struct LoadOptions {
  std::vector<std::string> controls;
  LoadSpec load;
  bool json = false;
};

enum class Subcommand { kNone, kLocal, kNode, kLoad };

struct CommandLine {
  Subcommand subcommand = Subcommand::kNone;
  int exit_code = 0;  // with kNone: help was printed or the line is wrong
  LocalOptions local;
  NodeOptions node;
  LoadOptions load;
};

// Prints help and what is wrong itself.
CommandLine ParseCommandLine(int argc, char** argv);

}  // namespace ringraft::bench
