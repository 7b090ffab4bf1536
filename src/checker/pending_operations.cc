#include "checker/pending_operations.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

namespace ringraft::checker {

PendingOperations::PendingOperations(const std::vector<SearchOperation>& operations, StepTable& steps)
    : steps_(steps) {
  AddOperations(operations);
  LinkEvents();
  CountSupply();
}

// Where the times of one client's operations touch, they are in the order in which they are given.
void PendingOperations::AddOperations(const std::vector<SearchOperation>& operations) {
  std::vector<size_t> order(operations.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const SearchOperation& x = operations[a];
    const SearchOperation& y = operations[b];
    return std::tie(x.invoked, x.returned) < std::tie(y.invoked, y.returned);
  });
  std::map<std::pair<uint64_t, int64_t>, std::vector<size_t>> returns;  // positions, by client and time
  std::vector<uint32_t> numbers(operations.size(), kNone);
  for (size_t i = 0; i < operations.size(); ++i) {
    if (!operations[i].is_optional) returns[{operations[i].operation->client, operations[i].returned}].push_back(i);
  }
  for (const size_t position : order) {
    const SearchOperation& operation = operations[position];
    if (operation.is_optional) continue;
    numbers[position] = static_cast<uint32_t>(required_.size());
    const std::string* result = operation.operation->result ? &*operation.operation->result : nullptr;
    required_.push_back(Required{operation.invoked, operation.returned,
                                 steps_.AddKind(operation.operation->command, result),
                                 Fingerprint::OfNumber(required_.size()), position, false, {}});
  }
  for (const size_t position : order) {
    const SearchOperation& operation = operations[position];
    std::vector<uint32_t> before;
    const auto touching = returns.find({operation.operation->client, operation.invoked});
    if (touching != returns.end()) {
      for (const size_t other : touching->second) {
        if (other < position) before.push_back(numbers[other]);
      }
    }
    if (operation.is_optional) {
      AddOptional(operation, position, std::move(before));
    } else {
      required_[numbers[position]].before = std::move(before);
    }
  }
  missing_ = required_.size();
  for (Pool& pool : pools_) {
    int64_t latest = 0;
    for (const Pool::Member& member : pool.members) {
      latest = pool.latest_return.empty() ? member.returned : std::max(latest, member.returned);
      pool.latest_return.push_back(latest);
    }
  }
}

void PendingOperations::AddOptional(const SearchOperation& operation, size_t position, std::vector<uint32_t> before) {
  const uint32_t kind = steps_.AddKind(operation.operation->command, nullptr);
  if (steps_.kind(kind).is_read_only) return;  // whether it takes effect makes no difference
  if (pool_of_kind_.size() <= kind) pool_of_kind_.resize(kind + 1, kNone);
  uint32_t& pool = pool_of_kind_[kind];
  if (pool == kNone) {
    pool = static_cast<uint32_t>(pools_.size());
    pools_.emplace_back().kind = kind;
  }
  pools_[pool].is_repeatable |= operation.is_repeatable;
  has_deadlines_ |= operation.returned != Operation::kNever;
  pools_[pool].members.push_back(Pool::Member{operation.invoked, operation.returned, position, std::move(before)});
}

// At the same time, calls come before returns: operations that only touch are concurrent.
void PendingOperations::LinkEvents() {
  const size_t count = required_.size();
  by_return_.resize(count);
  std::iota(by_return_.begin(), by_return_.end(), 0);
  std::stable_sort(by_return_.begin(), by_return_.end(),
                   [&](uint32_t a, uint32_t b) { return required_[a].returned < required_[b].returned; });
  next_event_.resize(2 * count + 1);
  previous_event_.resize(2 * count + 1);
  const auto head = static_cast<uint32_t>(2 * count);
  uint32_t last = head;
  const auto append = [&](uint32_t event) {
    next_event_[last] = event;
    previous_event_[event] = last;
    last = event;
  };
  uint32_t called = 0;
  for (const uint32_t returning : by_return_) {
    while (called < count && required_[called].invoked <= required_[returning].returned) append(2 * called++);
    append(2 * returning + 1);
  }
  append(head);
}

void PendingOperations::CountSupply() {
  const size_t states = steps_.state_count();
  demand_.resize(states);
  supply_.resize(states);
  pool_supply_.resize(states);
  knows_supply_ = steps_.hints() != nullptr;
  const auto has_known_supply = [](const StepTable::Kind& kind) { return kind.is_read_only || kind.leaves != kNone; };
  for (const uint32_t operation : by_return_) {
    const StepTable::Kind& kind = steps_.kind(required_[operation].kind);
    knows_supply_ = knows_supply_ && has_known_supply(kind);
    if (kind.needs != kNone) demand_[kind.needs].push_back(operation);
    if (kind.leaves != kNone) ++supply_[kind.leaves];
  }
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    const StepTable::Kind& kind = steps_.kind(pools_[pool].kind);
    knows_supply_ = knows_supply_ && has_known_supply(kind);
    if (kind.leaves != kNone) pool_supply_[kind.leaves].push_back(pool);
  }
}

void PendingOperations::Take(uint32_t operation) {
  for (const uint32_t event : {2 * operation, 2 * operation + 1}) {
    next_event_[previous_event_[event]] = next_event_[event];
    previous_event_[next_event_[event]] = previous_event_[event];
  }
  Required& taken = required_[operation];
  taken.is_ordered = true;
  ordered_ = ordered_ ^ taken.mark;
  --missing_;
  const uint32_t leaves = steps_.kind(taken.kind).leaves;
  if (leaves != kNone) --supply_[leaves];
}

void PendingOperations::PutBack(uint32_t operation) {
  for (const uint32_t event : {2 * operation + 1, 2 * operation}) {
    next_event_[previous_event_[event]] = event;
    previous_event_[next_event_[event]] = event;
  }
  Required& taken = required_[operation];
  taken.is_ordered = false;
  ordered_ = ordered_ ^ taken.mark;
  ++missing_;
  const uint32_t leaves = steps_.kind(taken.kind).leaves;
  if (leaves != kNone) ++supply_[leaves];
}

bool PendingOperations::AreOrdered(const std::vector<uint32_t>& operations) const {
  return std::all_of(operations.begin(), operations.end(),
                     [this](uint32_t operation) { return required_[operation].is_ordered; });
}

uint32_t PendingOperations::FindCandidates(std::vector<uint32_t>& candidates) const {
  candidates.clear();
  uint32_t event = next_event_[next_event_.size() - 1];
  for (; event % 2 == 0; event = next_event_[event]) {
    if (AreOrdered(required_[event / 2].before)) candidates.push_back(event / 2);
  }
  return event / 2;
}

size_t PendingOperations::Available(const Pool& pool, int64_t first_return, int64_t last_invocation) const {
  const auto is_earlier = [](const Pool::Member& member, int64_t time) { return member.invoked < time; };
  const auto first = std::lower_bound(pool.members.begin(), pool.members.end(), first_return, is_earlier);
  auto count = static_cast<size_t>(first - pool.members.begin());
  size_t last = count;
  for (auto member = first; member != pool.members.end() && member->invoked == first_return; ++member) {
    ++last;
    count += AreOrdered(member->before);
  }
  if (last == 0 || pool.latest_return[last - 1] < last_invocation) return 0;
  return count;
}

uint32_t PendingOperations::FindUnsupplied(uint32_t initial) const {
  if (!knows_supply_) return kNone;
  for (uint32_t state = 0; state < demand_.size(); ++state) {
    const bool is_supplied = supply_[state] > 0 || !pool_supply_[state].empty();
    if (state != initial && !demand_[state].empty() && !is_supplied) return demand_[state][0];
  }
  return kNone;
}

uint32_t PendingOperations::FindStarved(uint32_t state, const SpentSets::Set& spent, int64_t last_invocation) const {
  if (!knows_supply_ || state >= demand_.size() || supply_[state] > 0) return kNone;
  const auto starved = std::find_if(demand_[state].begin(), demand_[state].end(),
                                    [this](uint32_t operation) { return !required_[operation].is_ordered; });
  const auto has_more = [&](uint32_t number) {
    const Pool& pool = pools_[number];
    const auto [first, last] = std::equal_range(spent.begin(), spent.end(), number);
    return static_cast<size_t>(last - first) < pool.members.size() && pool.latest_return.back() >= last_invocation;
  };
  if (starved == demand_[state].end()) return kNone;
  if (std::any_of(pool_supply_[state].begin(), pool_supply_[state].end(), has_more)) return kNone;
  return *starved;
}

}  // namespace ringraft::checker
