// An operation of a history as the search for an order takes it.
#pragma once

#include <cstdint>

#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Operation;

struct SearchOperation {
  const Operation* operation = nullptr;  // outlives the search
  // A required operation must take effect, with its answer. An optional one may take effect between the times below,
  // with any answer, or never. Optional ones with a time of return get slightly more freedom than that: after a read
  // they may take effect too late, or out of order among themselves; and before the first required operation they can
  // reach any state.
  bool is_optional = false;
  bool is_repeatable = false;  // optional, and may take effect any number of times
  int64_t invoked = 0;
  int64_t returned = Operation::kNever;
};

}  // namespace ringraft::checker
