// Nodes over TCP: blocks until an answer is there or its time is over. One thread, no reactor.
#pragma once

#include <memory>
#include <optional>

#include "cli/network.h"

namespace ringraft::cli {

// `group`: nodes of another one are refused.
std::unique_ptr<Network> MakeKjNetwork(std::optional<GroupId> group);

}  // namespace ringraft::cli
