// `ringraft-bench local`: a whole cluster on this machine. This process is node 1, leads, and carries the clients.
#pragma once

#include "options.h"
#include "signals.h"

namespace ringraft::bench {

// Returns the exit code: 0, or 1 if anything failed, calls included.
int RunLocal(const LocalOptions& options, Signals& signals);

}  // namespace ringraft::bench
