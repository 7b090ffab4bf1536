// Majorities of the voters, or of both halves of a joint configuration.
#pragma once

#include <functional>

#include "core/configuration.h"
#include "ringraft/types.h"

namespace ringraft::core {

// True if `has` is true for a majority of every half. False for an empty configuration.
bool HasQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& has);
// True if HasQuorum may still become true when `is_lost` members never have it: otherwise an election is lost.
bool CanReachQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& is_lost);
// The largest index that a majority of every half has reached; 0 for an empty configuration.
Index QuorumIndex(const Configuration& configuration, const std::function<Index(const Member&)>& match);

}  // namespace ringraft::core
