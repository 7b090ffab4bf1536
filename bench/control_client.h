// `ringraft-bench load`: asks the leader among the nodes for a load, reads what all nodes use meanwhile, and reports.
#pragma once

#include "options.h"
#include "signals.h"

namespace ringraft::bench {

// Returns the exit code: 0, or 1 if anything failed, calls included.
int RunLoadClient(const LoadOptions& options, Signals& signals);

}  // namespace ringraft::bench
