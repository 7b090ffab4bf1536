// `ringraft-bench node`: one member, and the small server that `ringraft-bench load` talks to. One request a
// connection:
//
//   stats                        -> stats id=1 leads=1 nodes=3 store=lmdb cpu_ns=.. ...
//   run payload=.. seconds=.. .. -> second ops_per_s=.. ..      once a second
//                                   window-start cpu_ns=.. ..   what this node has used so far
//                                   window-end seconds=.. cpu_ns=.. ..
//                                   error-line N calls failed: ...
//                                   result commands=.. ops_per_s=.. p50_us=.. ..
//                                or failed MESSAGE
//
// A closed connection ends the load.
#pragma once

#include <string>

#include "line_socket.h"
#include "options.h"
#include "signals.h"
#include "usage.h"

namespace ringraft::bench {

// Runs until SIGTERM or SIGINT, or until the node stops by itself. Returns the exit code.
int RunNode(const NodeOptions& options, Signals& signals);

// How usage and load travel in a line.
std::string ToFields(const Usage& usage);
Usage UsageFrom(const Message& message);
std::string ToFields(const LoadSpec& load);
LoadSpec LoadFrom(const Message& message);

}  // namespace ringraft::bench
