// The search for an order of the operations of one partition: Wing and Gong's depth-first search (1993) with Lowe's
// cache of configurations (2017). Pure: no clock, no randomness; the same operations give the same steps.
//
// A configuration is the set of operations that have been ordered so far, and the state after them. An operation may
// come next if no other pending one had returned before it was invoked. Added to the two papers:
//
// * Operations of unknown outcome are optional: the search ends when all others are ordered. They are tried last, first
//   none, then one, then two between two required operations, so that as few as possible are spent. Optional operations
//   of the same command are interchangeable and only counted. A configuration is cut if one with the same ordered
//   operations and the same state, but with fewer optional operations spent, has been visited: whatever can be reached
//   from it can be reached from that one.
// * Operations that never change the state are taken as soon as they are possible, without an alternative: this makes
//   no difference to the others (see SearchHints).
// * If optional operations have a return time, the first required operation may start from whatever state it needs.
//   This accepts more than it should: computing the states that the optional ones can reach would take too long.
// * The search does not leave a state that a pending operation needs if no remaining operation can restore that state.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "checker/search_operation.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::LinearizabilityResult;
using sim::Model;

struct SearchOutcome {
  LinearizabilityResult::Verdict verdict = LinearizabilityResult::Verdict::kLinearizable;
  uint64_t steps = 0;
  // If there is no order: the operations invoked up to this time are impossible already, whatever came later.
  int64_t impossible_at = 0;
  // If no order was found: the positions of the operations that blocked the search where it got furthest. A guess at
  // where the fault is.
  std::vector<size_t> suspects;
  // If there is an order: the positions of the optional operations that take effect in it.
  std::vector<size_t> spent;
};

// If the times of two operations only touch, they are concurrent if their clients differ; those of one client are in
// the order in which they are given. So a client that has several operations in flight needs a number for each.
SearchOutcome FindOrder(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
                        uint64_t max_steps);

}  // namespace ringraft::checker
