// Carries one command out: asks, follows the leader, waits, and says how it went.
#pragma once

#include <string>

#include "cli/network.h"
#include "cli/options.h"

namespace ringraft::cli {

struct Outcome {
  int exit_code = 0;
  std::string out;  // for standard output; lines
  std::string err;  // for standard error; one line, without its end
};

Outcome Run(const CliOptions& options, Network& network);

}  // namespace ringraft::cli
