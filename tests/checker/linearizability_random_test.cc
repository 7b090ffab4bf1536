#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "checker/models.h"
#include "generated.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::CheckLinearizable;
using sim::LinearizabilityResult;
namespace {

using Verdict = LinearizabilityResult::Verdict;

constexpr Workload kWorkloads[] = {Workload::kRegisters, Workload::kCounters, Workload::kLists, Workload::kKeyValue};

// A model without hints, as users write it.
class PlainModel final : public Model {
 public:
  explicit PlainModel(const Model& model) : model_(model) {}
  std::string Partition(std::string_view command) const override { return model_.Partition(command); }
  std::string Initial(std::string_view partition) const override { return model_.Initial(partition); }
  bool Step(std::string& state, std::string_view command, const std::string* result) const override {
    return model_.Step(state, command, result);
  }

 private:
  const Model& model_;
};

HistoryPlan SmallPlan(Workload workload, Dice& dice) {
  HistoryPlan plan;
  plan.workload = workload;
  plan.operations = 2 + dice.Below(6);
  plan.clients = 2 + dice.Below(3);
  plan.keys = 1;
  plan.values = 1 + dice.Below(3);
  plan.unknown_percent = 25;
  plan.longest_pause = 2;
  plan.longest_call = 4;
  return plan;
}

std::string TextOf(const Model& model, const std::vector<Operation>& history) {
  LinearizabilityResult all;
  all.verdict = Verdict::kNotLinearizable;
  all.offending = history;
  return all.Text(model);
}

TEST_SUITE("sim: linearizability of generated histories") {
  TEST_CASE("small histories get the same verdict as from brute force, with and without hints") {
    for (const Workload workload : kWorkloads) {
      CAPTURE(std::string(WorkloadName(workload)));
      const auto model = MakeModel(workload);
      const PlainModel plain(*model);
      size_t impossible = 0;
      size_t possible = 0;
      for (uint64_t seed = 0; seed < 4000; ++seed) {
        CAPTURE(seed);
        Dice dice(seed);
        std::vector<Operation> history = Generate(SmallPlan(workload, dice), dice);
        if (seed % 8 == 0) {
          INFO(TextOf(*model, history));
          REQUIRE(IsLinearizableByBruteForce(*model, history));
        }
        const uint64_t mutations = dice.Below(4);
        for (uint64_t i = 0; i < mutations; ++i) Mutate(history, dice);
        const bool expected = IsLinearizableByBruteForce(*model, history);
        ++(expected ? possible : impossible);
        const LinearizabilityResult result = CheckLinearizable(*model, history);
        INFO(TextOf(*model, history));
        REQUIRE(result.verdict == (expected ? Verdict::kLinearizable : Verdict::kNotLinearizable));
        REQUIRE(CheckLinearizable(plain, history).verdict == result.verdict);
        if (expected) continue;
        REQUIRE(!result.offending.empty());
        REQUIRE(!IsLinearizableByBruteForce(*model, result.offending));
      }
      MESSAGE(std::string(WorkloadName(workload)) << ": " << possible << " possible, " << impossible << " impossible");
      CHECK(possible > 400);
      CHECK(impossible > 400);
    }
  }

  TEST_CASE("histories of a correct service pass") {
    for (const Workload workload : kWorkloads) {
      CAPTURE(std::string(WorkloadName(workload)));
      const auto model = MakeModel(workload);
      for (uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        Dice dice(seed);
        HistoryPlan plan;
        plan.workload = workload;
        plan.operations = 100 + dice.Below(300);
        plan.clients = 2 + dice.Below(12);
        plan.keys = 1 + dice.Below(3);
        plan.values = dice.Below(3) * 5;
        plan.unknown_percent = dice.Below(15);
        const LinearizabilityResult result = CheckLinearizable(*model, Generate(plan, dice));
        INFO(result.Text(*model));
        CHECK(result.ok());
      }
    }
  }

  TEST_CASE("10,000 operations, some of unknown outcome, are checked, and one wrong answer is found") {
    for (const Workload workload : kWorkloads) {
      CAPTURE(std::string(WorkloadName(workload)));
      const auto model = MakeModel(workload);
      Dice dice(10);
      HistoryPlan plan;
      plan.workload = workload;
      plan.clients = 20;
      // Unknown APPENDs and INCRs of one key can make almost any value, so there are more keys.
      if (workload == Workload::kKeyValue) plan.keys = 20;
      std::vector<Operation> history = Generate(plan, dice);
      REQUIRE(history.size() == 10'000);
      const LinearizabilityResult result = CheckLinearizable(*model, history);
      INFO(result.Text(*model));
      CHECK(result.ok());
      // A late read gets the answer of an earlier one.
      const auto is_read_of = [&](const Operation& operation) {
        return operation.result && operation.command == history[0].command;
      };
      history[0].command = workload == Workload::kRegisters ? ReadRegister("k1")
                           : workload == Workload::kCounters ? AddToCounter("k1", 0)
                           : workload == Workload::kLists    ? ReadList("k1")
                                                             : "GET k1";
      size_t middle = 5000;
      while (!is_read_of(history[middle])) ++middle;
      size_t late = 9000;
      while (!is_read_of(history[late]) || history[late].result == history[middle].result) ++late;
      history[late].result = history[middle].result;
      history.erase(history.begin());
      const LinearizabilityResult bad = CheckLinearizable(*model, history);
      CHECK(bad.verdict == Verdict::kNotLinearizable);
      CHECK(bad.partition == "k1");
      // If a value can be made in many ways, fewer operations can be omitted.
      CHECK(bad.offending.size() <= (workload == Workload::kKeyValue ? 400 : 10));
      CHECK(CheckLinearizable(*model, bad.offending).verdict == Verdict::kNotLinearizable);
      MESSAGE(std::string(WorkloadName(workload)) << ": " << bad.offending.size() << " operations left");
    }
  }
}

}  // namespace
}  // namespace ringraft::checker
