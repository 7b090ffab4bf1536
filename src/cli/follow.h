// Who of the nodes is asked: the first that answers, or the leader, wherever it is.
#pragma once

#include <string>
#include <vector>

#include "cli/network.h"

namespace ringraft::cli {

struct Answered {
  Addr addr;
  AdminStatus status;
};

constexpr Duration kPause = std::chrono::milliseconds(250);  // between two rounds without a leader

// The status of the first of the nodes that answers, each having its share of the time.
Result<Answered> AskAny(Network& network, const std::vector<Addr>& nodes, TimePoint deadline);
// The leader's status. It is looked for up to the deadline, unless none of the nodes can be reached. Errors: kNoLeader
// as well.
Result<Answered> AskLeader(Network& network, const std::vector<Addr>& nodes, TimePoint deadline);
// Has the leader carry out an order; it is sent on or again only as long as it certainly has not begun, up to the
// deadline as above. Errors: the leader's, kNoLeader, and what Network and Node say; kTimedOut only if it may have
// begun.
Result<void> Send(Network& network, const std::vector<Addr>& nodes, const Order& order, TimePoint deadline);

}  // namespace ringraft::cli
