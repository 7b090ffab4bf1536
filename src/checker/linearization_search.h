// The search for an order of the operations of one partition: Wing and Gong's depth-first search (1993) with Lowe's
// cache of configurations (2017). Pure: no clock, no randomness; the same operations give the same steps.
//
// A configuration is the set of operations that have been put in order so far, and the state after them. An operation
// may come next if no other one, still to be ordered, had returned before it was invoked. What is added to the two
// papers:
//
// * Operations of unknown outcome are optional: the search ends when all others are in order. They are tried last, and
//   between two others only in sequences that grow one by one, so that few are spent. Those of equal command are
//   interchangeable and only counted. A configuration is cut if one with the same ordered operations and the same
//   state, but with fewer optional operations spent, has been seen: it could do all the same.
// * Operations that never change the state are taken as soon as they are possible, without an alternative: the others
//   do not notice (see SearchHints).
// * Where optional operations have a time of return, the first of the others may find any state that it needs: it would
//   take long to find out which there can have been.
// * A state is not left while an operation needs it that no remaining one can bring back.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::LinearizabilityResult;
using sim::Model;
using sim::Operation;

struct SearchOperation {
  const Operation* operation = nullptr;  // outlives the search
  // May take effect between the times below, with any answer, or never. Among those with a time of return slightly more
  // is allowed than that: after a read they may come in too late, or out of order among themselves; and before the
  // first operation that is not optional they can bring about any state. One that is not optional must take effect,
  // with its answer.
  bool is_optional = false;
  bool is_repeatable = false;  // optional, and as often as it likes
  int64_t invoked = 0;
  int64_t returned = Operation::kNever;
};

struct SearchOutcome {
  LinearizabilityResult::Verdict verdict = LinearizabilityResult::Verdict::kLinearizable;
  uint64_t steps = 0;
  // If there is no order: the operations invoked up to this time are impossible already, whatever came later.
  int64_t impossible_at = 0;
  // If none was found: the positions of operations at which the search did not get on, at its furthest. Only a guess at
  // where the fault is.
  std::vector<size_t> suspects;
  // If there is one: the positions of the optional operations that take effect in it.
  std::vector<size_t> spent;
};

// Two operations of different clients whose times only touch are concurrent; those of one client are in the order in
// which they are given. So a client that has several operations at a time under way needs a number for each.
SearchOutcome FindOrder(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
                        uint64_t max_steps);

}  // namespace ringraft::checker
