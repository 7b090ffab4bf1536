// `ringraft recover`: needs no network, but the data directory of a stopped node. Makes none.
#pragma once

#include "cli/commands.h"
#include "cli/options.h"

namespace ringraft::cli {

Outcome Recover(const CliOptions& options);

}  // namespace ringraft::cli
