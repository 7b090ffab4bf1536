// The checker: splits a history into partitions, searches an order for each, and tells what is wrong with one that has
// none. Pure.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "checker/counterexample.h"
#include "checker/linearization_search.h"
#include "checker/text_format.h"
#include "ringraft/sim.h"

namespace ringraft::sim {
namespace {

using Verdict = LinearizabilityResult::Verdict;

constexpr uint64_t kMaxReductionSteps = 10'000'000;

struct Part {
  std::string name;
  std::vector<const Operation*> history;
};

std::vector<Part> Split(const Model& model, const std::vector<Operation>& history) {
  std::map<std::string, std::vector<const Operation*>> parts;
  for (const Operation& operation : history) {
    RINGRAFT_ASSERT(operation.invoked <= operation.returned);
    RINGRAFT_ASSERT(operation.result.has_value() == (operation.returned != Operation::kNever));
    parts[model.Partition(operation.command)].push_back(&operation);
  }
  std::vector<Part> split;
  for (auto& [name, operations] : parts) split.push_back(Part{name, std::move(operations)});
  return split;
}

checker::SearchOutcome Search(const Model& model, const Part& part, uint64_t max_steps) {
  std::vector<checker::SearchOperation> search;
  search.reserve(part.history.size());
  for (const Operation* operation : part.history) {
    const bool is_unknown = operation->returned == Operation::kNever;
    search.push_back(checker::SearchOperation{operation, is_unknown, false, operation->invoked, operation->returned});
  }
  return checker::FindOrder(model, part.name, search, max_steps);
}

}  // namespace

std::string Model::Describe(std::string_view command, const std::string* result) const {
  return fmt::format("{} -> {}", checker::Printable(command), result == nullptr ? "?" : checker::Printable(*result));
}

// Each partition has a share of the steps at first, so that a hard one does not hide what is wrong with another.
LinearizabilityResult CheckLinearizable(const Model& model, std::vector<Operation> history, uint64_t max_steps) {
  const std::vector<Part> parts = Split(model, history);
  LinearizabilityResult result;
  std::vector<const Part*> open;
  for (const Part& part : parts) open.push_back(&part);
  uint64_t steps_left = max_steps;
  for (const bool is_last_round : {false, true}) {
    std::vector<const Part*> hard;
    const uint64_t share = steps_left / (2 * std::max<size_t>(open.size(), 1));
    for (const Part* part : open) {
      const checker::SearchOutcome outcome = Search(model, *part, is_last_round ? steps_left : share);
      steps_left -= std::min(steps_left, outcome.steps);
      if (outcome.verdict == Verdict::kLinearizable) continue;
      // Also where the search gave up, once: a few operations that are impossible may be plain to see.
      const bool is_known_hard = is_last_round && outcome.verdict == Verdict::kGaveUp;
      if (!is_known_hard) {
        const uint64_t reduction_steps = std::min(max_steps, kMaxReductionSteps);
        result.offending = checker::FindCounterexample(model, part->name, part->history, outcome, reduction_steps);
      }
      if (result.offending.empty()) {
        hard.push_back(part);
        continue;
      }
      result.verdict = Verdict::kNotLinearizable;
      result.partition = part->name;
      return result;
    }
    open = std::move(hard);
  }
  if (!open.empty()) {
    result.verdict = Verdict::kGaveUp;
    result.partition = open.front()->name;
  }
  return result;
}

std::string LinearizabilityResult::Text(const Model& model) const {
  if (verdict == Verdict::kLinearizable) return "linearizable\n";
  if (verdict == Verdict::kGaveUp) {
    return fmt::format(
        "not checked: partition '{}' needs more than the allowed steps; allow more, or spread the operations over more "
        "partitions\n",
        checker::Printable(partition));
  }
  std::string text = fmt::format(
      "not linearizable: no order of these {} operations on partition '{}' explains their answers, whatever the "
      "operations left out here did while they ran\n",
      offending.size(), checker::Printable(partition));
  for (const Operation& operation : offending) {
    text += fmt::format("  client {:<4} {:>14} .. {:>14}  {}\n", operation.client, checker::Milliseconds(operation.invoked),
                        operation.returned == Operation::kNever ? "never" : checker::Milliseconds(operation.returned),
                        model.Describe(operation.command, operation.result ? &*operation.result : nullptr));
  }
  return text;
}

}  // namespace ringraft::sim
