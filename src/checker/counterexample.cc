#include "checker/counterexample.h"

#include <algorithm>
#include <limits>

#include "checker/linearization_search.h"
#include "checker/search_hints.h"

namespace ringraft::checker {
namespace {

using Verdict = LinearizabilityResult::Verdict;

// The steps of one trial. A trial that omits many operations has many orders to search: past the limit it is given up,
// and one that omits fewer is tried.
constexpr uint64_t kMaxTrialSteps = 300'000;
constexpr uint64_t kTrialStepsPerOperation = 200;
constexpr size_t kMaxExplanations = 8;
constexpr size_t kMaxTimes = 2;  // that an omitted operation may take effect
constexpr size_t kMaxWindow = 128;
constexpr uint64_t kWindowSteps = 30'000;

class Reduction {
 public:
  Reduction(const Model& model, std::string_view partition, const std::vector<const Operation*>& history,
            uint64_t max_steps)
      : model_(model),
        hints_(dynamic_cast<const SearchHints*>(&model)),
        partition_(partition),
        operations_(history),
        steps_left_(max_steps),
        trial_steps_(std::min(kMaxTrialSteps, kTrialStepsPerOperation * history.size())) {
    for (size_t i = 0; i < operations_.size(); ++i) {
      is_kept_.push_back(!IsUnknown(operations_[i]));
      if (is_kept_[i]) by_return_.push_back(i);
    }
    std::stable_sort(by_return_.begin(), by_return_.end(),
                     [&](size_t a, size_t b) { return operations_[a]->returned < operations_[b]->returned; });
  }

  // Keeps the shortest prefix, by returns, that is impossible.
  void CutEnd(int64_t impossible_at) {
    std::vector<bool> kept(operations_.size(), false);
    for (const size_t i : by_return_) kept[i] = operations_[i]->invoked <= impossible_at;
    if (IsImpossible(kept)) is_kept_ = kept;
    size_t impossible = by_return_.size();  // a prefix of this length is impossible
    size_t possible = 0;
    while (possible + 1 < impossible) {
      const size_t middle = possible + (impossible - possible) / 2;
      kept = is_kept_;
      for (size_t i = middle; i < by_return_.size(); ++i) kept[by_return_[i]] = false;
      if (IsImpossible(kept)) {
        impossible = middle;
        is_kept_ = kept;
      } else {
        possible = middle;
      }
    }
  }

  // Looks for a few impossible operations: consecutive ones by return up to a suspect, and the other suspects. The
  // first attempt omits operations that are possible in many states: they make the search long, and seldom matter.
  bool FindWindow(const std::vector<size_t>& suspects) {
    std::vector<size_t> places(operations_.size(), 0);
    for (size_t i = 0; i < by_return_.size(); ++i) places[by_return_[i]] = i;
    for (size_t size = 2; size <= kMaxWindow && size < 2 * by_return_.size(); size *= 2) {
      for (const bool is_definite : {true, false}) {
        for (const size_t suspect : suspects) {
          std::vector<bool> kept(operations_.size(), false);
          for (const size_t other : suspects) kept[other] = size > 2 || other == suspect;
          const size_t end = std::min(places[suspect] + 1, by_return_.size());
          size_t missing = size - 1;
          for (size_t i = end; i-- > 0 && missing > 0;) {
            if (is_definite && !IsDefinite(*operations_[by_return_[i]])) continue;
            if (kept[by_return_[i]]) continue;
            kept[by_return_[i]] = true;
            --missing;
          }
          if (steps_left_ == 0) return false;
          const uint64_t limit = std::min(kWindowSteps, trial_steps_);
          if (!Try(kept, true, limit) && !Try(kept, false, limit)) continue;
          is_kept_ = kept;
          return true;
        }
      }
    }
    return false;
  }

  // Omits what it can, in large pieces first; reads before other operations.
  void DropUnneeded() {
    std::vector<size_t> order;
    for (const bool reads : {true, false}) {
      for (const size_t i : by_return_) {
        if (!is_kept_[i]) continue;
        const bool is_read = hints_ != nullptr && hints_->HintFor(operations_[i]->command, Result(i)).is_read_only;
        if (is_read == reads) order.push_back(i);
      }
    }
    for (size_t piece = std::max<size_t>(order.size() / 2, 1);; piece = std::max<size_t>(piece / 2, 1)) {
      const bool has_dropped = DropPieces(order, piece);
      if (steps_left_ == 0 || (piece == 1 && !has_dropped)) break;
    }
  }

  // Adds the omitted operations that would explain the rest if they could have run at any time, or twice, provided that
  // they are few.
  void AddExplanations() {
    std::vector<SearchOperation> search;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (is_kept_[i]) {
        search.push_back(
            SearchOperation{operations_[i], false, false, operations_[i]->invoked, operations_[i]->returned});
        continue;
      }
      const SearchOperation any_time{operations_[i], true, false, std::numeric_limits<int64_t>::min(),
                                     Operation::kNever};
      search.insert(search.end(), kMaxTimes, any_time);
    }
    const SearchOutcome outcome = FindOrder(model_, partition_, search, trial_steps_);
    if (outcome.verdict != Verdict::kLinearizable || outcome.spent.size() > kMaxExplanations) return;
    size_t position = 0;
    std::vector<bool> kept = is_kept_;
    for (size_t i = 0; i < operations_.size(); ++i) {
      const size_t end = position + (is_kept_[i] ? 1 : kMaxTimes);
      for (; position < end; ++position) {
        const bool is_spent =
            std::find(outcome.spent.begin(), outcome.spent.end(), position) != outcome.spent.end();
        if (is_spent) kept[i] = true;
      }
    }
    if (IsImpossible(kept)) is_kept_ = kept;
  }

  std::vector<Operation> Kept() const {
    std::vector<Operation> kept;
    for (size_t i = 0; i < operations_.size(); ++i) {
      if (is_kept_[i]) kept.push_back(*operations_[i]);
    }
    std::stable_sort(kept.begin(), kept.end(),
                     [](const Operation& a, const Operation& b) { return a.invoked < b.invoked; });
    return kept;
  }

 private:
  static bool IsUnknown(const Operation* operation) { return operation->returned == Operation::kNever; }
  const std::string* Result(size_t i) const { return operations_[i]->result ? &*operations_[i]->result : nullptr; }

  // Whether the kept operations have no order, whatever effect the others had while they ran. First tries to prove it
  // even if the others may take effect any number of times: that search keeps fewer counts, so it is often faster.
  bool IsImpossible(const std::vector<bool>& kept) {
    return Try(kept, true, trial_steps_) || Try(kept, false, trial_steps_);
  }

  bool Try(const std::vector<bool>& kept, bool is_repeatable, uint64_t max_steps) {
    std::vector<SearchOperation> search;
    search.reserve(operations_.size());
    for (size_t i = 0; i < operations_.size(); ++i) {
      const Operation* operation = operations_[i];
      const bool is_optional = !kept[i] || IsUnknown(operation);
      search.push_back(SearchOperation{operation, is_optional, is_repeatable && !kept[i], operation->invoked,
                                       operation->returned});
    }
    const SearchOutcome outcome = FindOrder(model_, partition_, search, std::min(steps_left_, max_steps));
    // Building the search costs about as much as a step for each operation.
    steps_left_ -= std::min(steps_left_, outcome.steps + operations_.size());
    return outcome.verdict == Verdict::kNotLinearizable;
  }

  bool IsDefinite(const Operation& operation) const {
    if (hints_ == nullptr) return true;
    const StepHint hint = hints_->HintFor(operation.command, &*operation.result);
    return hint.needs || hint.is_overwrite;
  }

  bool DropPieces(std::vector<size_t>& order, size_t piece) {
    bool has_dropped = false;
    std::vector<size_t> left;
    for (size_t begin = 0; begin < order.size(); begin += piece) {
      const size_t end = std::min(begin + piece, order.size());
      std::vector<bool> kept = is_kept_;
      for (size_t i = begin; i < end; ++i) kept[order[i]] = false;
      if (steps_left_ > 0 && IsImpossible(kept)) {
        is_kept_ = kept;
        has_dropped = true;
      } else {
        left.insert(left.end(), order.begin() + static_cast<ptrdiff_t>(begin),
                    order.begin() + static_cast<ptrdiff_t>(end));
      }
    }
    order = left;
    return has_dropped;
  }

  const Model& model_;
  const SearchHints* const hints_;
  const std::string_view partition_;
  std::vector<const Operation*> operations_;
  std::vector<size_t> by_return_;  // positions of operations with a known outcome
  std::vector<bool> is_kept_;  // Invariant: no operation of unknown outcome, until AddExplanations
  uint64_t steps_left_;
  const uint64_t trial_steps_;
};

}  // namespace

std::vector<Operation> FindCounterexample(const Model& model, std::string_view partition,
                                     const std::vector<const Operation*>& history, const SearchOutcome& outcome,
                                     uint64_t max_steps) {
  Reduction reduction(model, partition, history, max_steps);
  if (!reduction.FindWindow(outcome.suspects)) {
    if (outcome.verdict != Verdict::kNotLinearizable) return {};
    reduction.CutEnd(outcome.impossible_at);
  }
  reduction.DropUnneeded();
  reduction.AddExplanations();
  return reduction.Kept();
}

}  // namespace ringraft::checker
