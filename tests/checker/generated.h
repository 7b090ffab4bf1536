// Histories for tests: of clients that call a service which does one thing at a time, at a moment between call and
// return; and a checker that is too simple to be wrong, for small ones.
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
  uint64_t values = 0;  // of registers and keys; 0: a new one for each command
  uint64_t read_percent = 40;
  uint64_t unknown_percent = 3;
  int64_t longest_pause = 50;  // between two calls of a client
  int64_t longest_call = 100;
};

// Linearizable, since it was made that way.
std::vector<Operation> Generate(const HistoryPlan& plan, Dice& dice);

// A change that may make a history impossible, or not: another answer, another time, another command.
void Mutate(std::vector<Operation>& history, Dice& dice);

// Tries every order of all subsets. For at most about 8 operations of one partition.
bool IsLinearizableByBruteForce(const Model& model, const std::vector<Operation>& history);

}  // namespace ringraft::checker
