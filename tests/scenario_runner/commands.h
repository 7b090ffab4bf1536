// Runs a scenario: its commands on a World, with all invariants checked after each, and convergence at the end.
#pragma once

#include <functional>
#include <string>

#include "scenario.h"

namespace ringraft::scenario {

struct Outcome {
  Scenario scenario;    // with the stories that were really told
  size_t line = 0;      // of the command that went wrong
  std::string problem;  // a broken invariant, a claim that does not hold, a command that cannot be done here; or empty
};

// What becomes of a command that cannot be done here, and of a claim that does not hold: they end the run, or count for
// nothing. A broken invariant and messages without an end always end it.
enum class Strictness { kStrict, kLenient };

// `at_line` is told each command's line before it runs: a broken invariant of the core ends the process.
Outcome RunScenario(Scenario scenario, const std::function<void(size_t line)>& at_line = nullptr,
                    Strictness strictness = Strictness::kStrict);

}  // namespace ringraft::scenario
