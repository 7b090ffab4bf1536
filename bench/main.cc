// ringraft-bench: how many durable commands a second a cluster does, and how long each takes.
#include <fmt/format.h>

#include <cstdio>

#include "control.h"
#include "control_client.h"
#include "local.h"
#include "options.h"
#include "signals.h"

int main(int argc, char** argv) {
  using namespace ringraft;         // NOLINT: the program's own names
  using namespace ringraft::bench;  // NOLINT
  const CommandLine line = ParseCommandLine(argc, argv);
  if (line.subcommand == Subcommand::kNone) return line.exit_code;
  Result<std::unique_ptr<Signals>> signals = Signals::Create();
  if (!signals) {
    fmt::print(stderr, "ringraft-bench: {}\n", signals.error().message());
    return 1;
  }
  switch (line.subcommand) {
    case Subcommand::kLocal:
      return RunLocal(line.local, *signals.value());
    case Subcommand::kNode:
      return RunNode(line.node, *signals.value());
    case Subcommand::kLoad:
      return RunLoadClient(line.load, *signals.value());
    case Subcommand::kNone:
      break;
  }
  return 2;
}
