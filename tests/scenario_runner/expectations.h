// The claims of a scenario, `expect ...`. Unlike its story they are never rewritten.
#pragma once

#include <string>

#include "world.h"

namespace ringraft::scenario {

// How the state differs from the claim; empty if the claim holds.
std::string CheckExpectation(const World& world, const Command& command);

}  // namespace ringraft::scenario
