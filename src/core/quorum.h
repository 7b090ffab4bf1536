// Majorities of one set, or of both halves of a joint configuration.
#pragma once

#include <functional>

#include "core/configuration.h"
#include "ringraft/types.h"

namespace ringraft::core {

// Is `has` true of a majority of every half? False for an empty configuration.
bool HasQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& has);
// Can it still become true, if `lost` members never will?  (an election is lost when this is false)
bool CanReachQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& is_lost);
// The largest index that a majority of every half has reached; 0 for an empty configuration.
Index QuorumIndex(const Configuration& configuration, const std::function<Index(const Member&)>& match);

}  // namespace ringraft::core
