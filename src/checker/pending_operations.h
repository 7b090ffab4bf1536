// The operations of one search, and which of them are still to be ordered. Knows what may come next by the times of
// calls and returns, and which states the remaining operations need and leave. Owned by one search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checker/configuration_cache.h"
#include "checker/search_operation.h"
#include "checker/step_table.h"

namespace ringraft::checker {

class PendingOperations {
 public:
  static constexpr uint32_t kNone = StepTable::kNone;

  // An operation that must be ordered.
  struct Required {
    int64_t invoked = 0;
    int64_t returned = 0;
    uint32_t kind = 0;
    Fingerprint mark;
    size_t position = 0;
    bool is_ordered = false;
    std::vector<uint32_t> before;  // operations of the same client that return when this one is invoked
  };

  // The optional operations of one command. They are interchangeable, so they are only counted.
  struct Pool {
    struct Member {
      int64_t invoked = 0;
      int64_t returned = 0;
      size_t position = 0;
      std::vector<uint32_t> before;
    };
    uint32_t kind = 0;
    bool is_repeatable = false;          // nothing is counted
    std::vector<Member> members;         // by time of invocation
    std::vector<int64_t> latest_return;  // of the first i + 1 members
  };

  // Adds the kinds of all operations to `steps`, which must outlive this.
  PendingOperations(const std::vector<SearchOperation>& operations, StepTable& steps);

  size_t required_count() const { return required_.size(); }
  const Required& required(uint32_t operation) const { return required_[operation]; }  // by time of invocation
  const std::vector<Pool>& pools() const { return pools_; }                           // by first invocation
  size_t missing() const { return missing_; }  // required operations still to be ordered
  bool has_deadlines() const { return has_deadlines_; }  // of an optional operation
  const Fingerprint& ordered() const { return ordered_; }

  // Orders a pending operation.
  void Take(uint32_t operation);
  // Undoes the last `Take` that has not been undone.
  void PutBack(uint32_t operation);

  // Replaces the contents of `candidates` by the operations that may come next. Returns the pending operation that
  // returns first: those invoked after that must wait for it.
  uint32_t FindCandidates(std::vector<uint32_t>& candidates) const;
  // How many of a pool may have taken effect when the pending operations first return at `first_return`; 0 if all of
  // those had returned before `last_invocation`, when the last operation that is ordered was invoked.
  size_t Available(const Pool& pool, int64_t first_return, int64_t last_invocation) const;

  // An operation that needs a state which is not `initial` and which no operation leaves. kNone: no such operation, or
  // the model has no hints.
  uint32_t FindUnsupplied(uint32_t initial) const;
  // A pending operation that needs `state`, which no remaining operation can restore. kNone as above.
  uint32_t FindStarved(uint32_t state, const SpentSets::Set& spent, int64_t last_invocation) const;

  // Whether the condition holds for one of the first `count` pending operations by invocation, or for a pending one of
  // the last `count` operations by return.
  template <class Condition>
  bool AnyNearEnds(size_t count, const Condition& condition) const;

 private:
  void AddOperations(const std::vector<SearchOperation>& operations);
  void AddOptional(const SearchOperation& operation, size_t position, std::vector<uint32_t> before);
  void LinkEvents();
  void CountSupply();
  bool AreOrdered(const std::vector<uint32_t>& operations) const;

  StepTable& steps_;
  std::vector<Required> required_;
  std::vector<uint32_t> by_return_;
  std::vector<Pool> pools_;
  std::vector<uint32_t> pool_of_kind_;
  bool has_deadlines_ = false;
  size_t missing_ = 0;
  Fingerprint ordered_;

  // A ring of the events of pending operations by time: 2i is the call of i, 2i + 1 its return, the last one the ring's
  // head.
  std::vector<uint32_t> next_event_;
  std::vector<uint32_t> previous_event_;

  // By state; used only if hints say which state each kind leaves that may change one.
  bool knows_supply_ = false;
  std::vector<std::vector<uint32_t>> demand_;       // operations that need it, by time of return
  std::vector<uint32_t> supply_;                    // pending operations that leave it
  std::vector<std::vector<uint32_t>> pool_supply_;  // pools that leave it
};

template <class Condition>
bool PendingOperations::AnyNearEnds(size_t count, const Condition& condition) const {
  size_t seen = 0;
  const auto head = static_cast<uint32_t>(next_event_.size() - 1);
  for (uint32_t event = next_event_[head]; event != head && seen < count; event = next_event_[event]) {
    if (event % 2 == 1) continue;
    if (condition(event / 2)) return true;
    ++seen;
  }
  for (size_t i = 0; i < count && i < by_return_.size(); ++i) {
    const uint32_t operation = by_return_[by_return_.size() - 1 - i];
    if (!required_[operation].is_ordered && condition(operation)) return true;
  }
  return false;
}

}  // namespace ringraft::checker
