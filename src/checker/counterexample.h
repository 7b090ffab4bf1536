// Reduces the operations of a partition that has no order to a counterexample: the few that matter.
//
// The naive way omits an operation if the rest stays impossible. That fails: without the write of 5 every read of 5 is
// impossible, which proves nothing. So an operation is omitted only if the rest is impossible *whether or not it took
// effect, with any answer, at any moment while it ran* (with an unknown outcome: at any moment after its invocation).
// Whatever effect the omitted operations had, they do not explain the rest. Since "no effect" is among the
// possibilities, the rest is also impossible by itself.
//
// At the end a few operations are added again that would explain the rest if they had run at another time: the write
// of the value that a stale read returned belongs to the counterexample.
#pragma once

#include <string_view>
#include <vector>

#include "checker/linearization_search.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Model;
using sim::Operation;

// `history` is one partition's, and `outcome` the result of its search. Returns operations sorted by time that have no
// order. Empty only if the search gave up and no impossible operations were found. Spends about `max_steps` at most;
// with fewer steps the counterexample is larger.
std::vector<Operation> FindCounterexample(const Model& model, std::string_view partition,
                                     const std::vector<const Operation*>& history, const SearchOutcome& outcome,
                                     uint64_t max_steps);

}  // namespace ringraft::checker
