// ringraft: the operator's tool. Looks at a cluster, changes its members, hands its leadership over,
// and recovers it from a lost quorum.
#include <fmt/format.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/kj_network.h"
#include "cli/options.h"
#include "cli/recover.h"

namespace ringraft::cli {
namespace {

int Main(int argc, const char* const* argv) {
  CliOptions options;
  if (const auto exit_code = ParseCommandLine(argc, argv, options)) return *exit_code;
  const Outcome outcome =
      options.command == Command::kRecover ? Recover(options) : Run(options, *MakeKjNetwork(options.group));
  if (!outcome.err.empty()) fmt::print(stderr, "ringraft: {}\n", outcome.err);
  std::fwrite(outcome.out.data(), 1, outcome.out.size(), stdout);
  if (std::fflush(stdout) != 0 && outcome.exit_code == 0) {
    fmt::print(stderr, "ringraft: standard output takes no more; what was asked for has been done\n");
    return kExitFailed;
  }
  return outcome.exit_code;
}

}  // namespace
}  // namespace ringraft::cli

int main(int argc, char** argv) { return ringraft::cli::Main(argc, argv); }
