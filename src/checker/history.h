// Histories as text, so that a program in any language can record one and have it checked. One operation per line:
//
//   client invoked returned command answer
//   3 1500000 2750000 5345542078203520 2b4f4b0d0a
//   4 1600000 - 4745542078 -
//
// The client is a number; times are nanoseconds of one clock; command and answer are hexadecimal, or "." if empty. If
// the outcome is unknown, the time of return and the answer are "-". Empty lines and lines that begin with '#' are
// skipped. Calls that certainly had no effect are not recorded.
#pragma once

#include <iosfwd>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Operation;

// kInvalidArgument: a line is wrong; the message says which, and why. kIo: the stream failed.
Result<std::vector<Operation>> ReadHistory(std::istream& in);

void WriteHistory(const std::vector<Operation>& history, std::ostream& out);

}  // namespace ringraft::checker
