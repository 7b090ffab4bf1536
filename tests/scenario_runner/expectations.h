// The claims that a scenario makes itself, beside its story: `expect ...`. Unlike the story they are never rewritten.
#pragma once

#include <string>

#include "world.h"

namespace ringraft::scenario {

// What is there instead of what is claimed; empty if the claim holds.
std::string CheckExpectation(const World& world, const Command& command);

}  // namespace ringraft::scenario
