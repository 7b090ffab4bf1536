// Random histories for tests: clients call a service that runs each call at some moment between invocation and return.
// Also a brute-force checker for small histories, too simple to be wrong.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "checker/models.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Model;
using sim::Operation;

// The same numbers with every standard library.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t Below(uint64_t n) { return engine_() % n; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }

 private:
  std::mt19937_64 engine_;
};

struct HistoryPlan {
  Workload workload = Workload::kRegisters;
  size_t operations = 10'000;
  uint64_t clients = 15;
  uint64_t keys = 5;
  uint64_t values = 0;  // number of values of registers and keys; 0: a new one for each command
  uint64_t read_percent = 40;
  uint64_t unknown_percent = 3;
  int64_t longest_pause = 50;  // between two calls of a client
  int64_t longest_call = 100;
};

// The history is linearizable by construction.
std::vector<Operation> Generate(const HistoryPlan& plan, Dice& dice);

// Changes an answer, a time or a command, which may make the history impossible.
void Mutate(std::vector<Operation>& history, Dice& dice);

// Tries every order of all subsets. For up to about 8 operations of one partition.
bool IsLinearizableByBruteForce(const Model& model, const std::vector<Operation>& history);

}  // namespace ringraft::checker
