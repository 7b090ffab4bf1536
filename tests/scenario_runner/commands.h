// Runs a scenario: its commands on a World, checking all invariants after each, and convergence at the end.
#pragma once

#include <functional>
#include <string>

#include "scenario.h"

namespace ringraft::scenario {

struct Outcome {
  Scenario scenario;    // with the actual stories
  size_t line = 0;      // of the failed command
  std::string problem;  // a broken invariant, a false claim, an impossible command; or empty
};

// Whether impossible commands and false claims end the run, or are ignored. Broken invariants and endless messages
// always end it.
enum class Strictness { kStrict, kLenient };

// `at_line` gets each command's line before it runs: a broken invariant of the core aborts the process.
Outcome RunScenario(Scenario scenario, const std::function<void(size_t line)>& at_line = nullptr,
                    Strictness strictness = Strictness::kStrict);

}  // namespace ringraft::scenario
