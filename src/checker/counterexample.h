// Makes a failure small: from the operations of a partition that no order explains, the few that matter.
//
// What may be left out? Not just anything that leaves the rest impossible: without the write of 5 every read of 5 is
// impossible, and says nothing. So an operation is left out only if the rest is impossible *even if it took effect, or
// not, with any answer, at any moment while it ran* (for those of unknown outcome: at any moment from their invocation
// on). Whatever the ones left out did, they do not explain what is left; they can only ever help it. Since "not" is
// among the things that they may do, what is left is impossible by itself, too.
//
// In the end a few come back that would explain it if only they had run at another time: the write that a stale read
// tells of is part of the story.
#pragma once

#include <string_view>
#include <vector>

#include "checker/linearization_search.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Model;
using sim::Operation;

// `history` is one partition's, and `outcome` what its search has said. Sorted by time. Spends at most about
// `max_steps`; with fewer, more is left. If the search gave up, then the answer may be empty: nothing was found to be
// impossible. If there is an answer, then it is.
std::vector<Operation> FindCounterexample(const Model& model, std::string_view partition,
                                     const std::vector<const Operation*>& history, const SearchOutcome& outcome,
                                     uint64_t max_steps);

}  // namespace ringraft::checker
