// The checker: splits a history into partitions, searches for an order of each, and finds a counterexample in one that
// has none. Pure.
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

using checker::FindCounterexample;
using checker::FindOrder;
using checker::Milliseconds;
using checker::Printable;
using checker::SearchOperation;
using checker::SearchOutcome;

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

SearchOutcome Search(const Model& model, const Part& part, uint64_t max_steps) {
  std::vector<SearchOperation> search;
  search.reserve(part.history.size());
  for (const Operation* operation : part.history) {
    const bool is_unknown = operation->returned == Operation::kNever;
    search.push_back(SearchOperation{operation, is_unknown, false, operation->invoked, operation->returned});
  }
  return FindOrder(model, part.name, search, max_steps);
}

}  // namespace

std::string Model::Describe(std::string_view command, const std::string* result) const {
  return fmt::format("{} -> {}", Printable(command), result == nullptr ? "?" : Printable(*result));
}

// At first each partition gets a share of the steps, so that a hard one does not hide a failure of another.
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
      const SearchOutcome outcome = Search(model, *part, is_last_round ? steps_left : share);
      steps_left -= std::min(steps_left, outcome.steps);
      if (outcome.verdict == Verdict::kLinearizable) continue;
      // Once also where the search gave up: a few impossible operations may be easy to find.
      const bool is_known_hard = is_last_round && outcome.verdict == Verdict::kGaveUp;
      if (!is_known_hard) {
        const uint64_t reduction_steps = std::min(max_steps, kMaxReductionSteps);
        result.offending = FindCounterexample(model, part->name, part->history, outcome, reduction_steps);
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
        Printable(partition));
  }
  std::string text = fmt::format(
      "not linearizable: no order of these {} operations on partition '{}' explains their answers, whatever effect "
      "the omitted operations had\n",
      offending.size(), Printable(partition));
  for (const Operation& operation : offending) {
    text += fmt::format("  client {:<4} {:>14} .. {:>14}  {}\n", operation.client, Milliseconds(operation.invoked),
                        operation.returned == Operation::kNever ? "never" : Milliseconds(operation.returned),
                        model.Describe(operation.command, operation.result ? &*operation.result : nullptr));
  }
  return text;
}

}  // namespace ringraft::sim
