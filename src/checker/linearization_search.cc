#include "checker/linearization_search.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "checker/configuration_cache.h"
#include "checker/step_table.h"

namespace ringraft::checker {
namespace {

using Verdict = LinearizabilityResult::Verdict;

constexpr uint32_t kNone = StepTable::kNone;
constexpr uint32_t kOrigin = kNone;  // no operation leads to the first frame
// Of the operations still to be ordered, so many of the next and so many of the last ones are asked whether they have
// come out of reach.
constexpr size_t kForesight = 24;
constexpr size_t kMaxSuspects = 6;
// Of memory; a search that needs more gives up.
constexpr size_t kMaxBytes = size_t{1} << 30;

// An operation that must be put in order.
struct Required {
  int64_t invoked = 0;
  int64_t returned = 0;
  uint32_t kind = 0;
  Fingerprint mark;
  size_t position = 0;
  bool is_done = false;
  size_t blamed_at = 0;  // how many operations were in order when the search last failed on this one; 0: never
  std::vector<uint32_t> before;  // operations of the same client that end when this one begins
};

// The optional operations of one command. Which of them is taken makes no difference, so they are counted.
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

class Search {
 public:
  Search(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
         uint64_t max_steps);
  SearchOutcome Run();

 private:
  // A configuration that is reached from the frame's own one by optional operations alone.
  struct Member {
    uint32_t state = 0;
    uint32_t spent = SpentSets::kEmpty;
    bool is_settled = false;  // its one move is as good as any
  };
  struct Move {
    uint32_t operation = 0;
    uint32_t next = 0;
  };
  // One set of ordered operations on the path of the search. The first member is the configuration in which it was
  // entered; the others are added while none before them has led to the end.
  struct Frame {
    uint32_t operation = kOrigin;  // the last one put in order
    int64_t first_return = 0;      // of the operations still to be ordered
    int64_t last_invocation = 0;   // of those in order that may have changed the state
    std::vector<uint32_t> candidates;
    std::vector<Member> members;
    size_t expanded = 0;  // members whose successors by one optional operation are members, too
    size_t member = 0;    // the present one,
    std::vector<Move> moves;  // its moves,
    size_t move = 0;          // and the next of them
  };

  void AddOperations(const std::vector<SearchOperation>& operations);
  void AddOptional(const SearchOperation& operation, size_t position, std::vector<uint32_t> before);
  void LinkEvents();
  void CountSupply();

  void OpenFrame(uint32_t operation, uint32_t state, uint32_t spent, int64_t last_invocation);
  void StartAnywhere(Frame& frame);
  bool NextMember(Frame& frame);
  void FindMoves(Frame& frame);
  void Expand(Frame& frame, size_t from);
  size_t Available(const Pool& pool, const Frame& frame) const;
  bool Enter(const Fingerprint& ordered, uint32_t state, const SpentSets::Set& spent);
  bool IsHopeless(uint32_t left, uint32_t state, const SpentSets::Set& spent, int64_t last_invocation);
  void Blame(uint32_t operation) {
    Required& blamed = required_[operation];
    impossible_at_ = std::max(impossible_at_, blamed.returned);
    blamed.blamed_at = std::max(blamed.blamed_at, required_.size() - missing_ + 1);
  }
  void Take(uint32_t operation);
  void PutBack(uint32_t operation);
  bool IsOverLimit() const {
    return steps_ > max_steps_ || steps_table_.bytes() + spent_sets_.bytes() + visited_.bytes() > kMaxBytes;
  }
  SearchOutcome Finish(Verdict verdict, uint32_t spent);

  const uint64_t max_steps_;
  StepTable steps_table_;
  const uint32_t initial_;
  SpentSets spent_sets_;
  ConfigurationCache visited_{spent_sets_};

  std::vector<Required> required_;  // by time of invocation
  std::vector<uint32_t> by_return_;
  std::vector<Pool> pools_;  // by the first invocation
  std::vector<uint32_t> pool_of_kind_;
  bool has_deadlines_ = false;

  // A ring of events, those of operations in order taken out: 2i is the call of i, 2i + 1 its return, the last one the
  // ring's head.
  std::vector<uint32_t> next_event_;
  std::vector<uint32_t> previous_event_;

  // By state; used only if every kind that may change a state says what it leaves.
  bool knows_supply_ = false;
  std::vector<std::vector<uint32_t>> demand_;       // operations that need it, by time of return
  std::vector<uint32_t> supply_;                    // operations still to be ordered that leave it
  std::vector<std::vector<uint32_t>> pool_supply_;  // pools that leave it

  std::vector<Frame> frames_;
  size_t depth_ = 0;
  size_t missing_ = 0;  // operations still to be ordered
  Fingerprint ordered_;
  uint64_t steps_ = 0;
  int64_t impossible_at_ = std::numeric_limits<int64_t>::min();
  SpentSets::Set scratch_;
};

Search::Search(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
               uint64_t max_steps)
    : max_steps_(max_steps),
      steps_table_(model, operations.size()),
      initial_(steps_table_.Intern(model.Initial(partition))) {
  AddOperations(operations);
  LinkEvents();
  CountSupply();
}

// Where the times of one client's operations touch, they are in the order in which they are given.
void Search::AddOperations(const std::vector<SearchOperation>& operations) {
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
                                 steps_table_.AddKind(operation.operation->command, result),
                                 Fingerprint::OfNumber(required_.size()), position, false, 0, {}});
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

void Search::AddOptional(const SearchOperation& operation, size_t position, std::vector<uint32_t> before) {
  const uint32_t kind = steps_table_.AddKind(operation.operation->command, nullptr);
  if (steps_table_.kind(kind).is_read_only) return;  // whether it takes effect makes no difference
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

// At one time calls stand before returns: operations that only touch are concurrent.
void Search::LinkEvents() {
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

void Search::CountSupply() {
  const size_t states = steps_table_.state_count();
  demand_.resize(states);
  supply_.resize(states);
  pool_supply_.resize(states);
  knows_supply_ = steps_table_.hints() != nullptr;
  const auto has_supply_known = [](const StepTable::Kind& kind) { return kind.is_read_only || kind.leaves != kNone; };
  for (const uint32_t operation : by_return_) {
    const StepTable::Kind& kind = steps_table_.kind(required_[operation].kind);
    knows_supply_ = knows_supply_ && has_supply_known(kind);
    if (kind.needs != kNone) demand_[kind.needs].push_back(operation);
    if (kind.leaves != kNone) ++supply_[kind.leaves];
  }
  for (uint32_t pool = 0; pool < pools_.size(); ++pool) {
    const StepTable::Kind& kind = steps_table_.kind(pools_[pool].kind);
    knows_supply_ = knows_supply_ && has_supply_known(kind);
    if (kind.leaves != kNone) pool_supply_[kind.leaves].push_back(pool);
  }
}

SearchOutcome Search::Run() {
  if (required_.empty()) return Finish(Verdict::kLinearizable, SpentSets::kEmpty);
  for (uint32_t state = 0; knows_supply_ && state < demand_.size(); ++state) {
    if (state == initial_ || demand_[state].empty() || supply_[state] > 0 || !pool_supply_[state].empty()) continue;
    Blame(demand_[state][0]);
    return Finish(Verdict::kNotLinearizable, SpentSets::kEmpty);
  }
  visited_.Add(ordered_ ^ Fingerprint::OfNumber(~uint64_t{initial_}), SpentSets::kEmpty);
  OpenFrame(kOrigin, initial_, SpentSets::kEmpty, std::numeric_limits<int64_t>::min());
  while (depth_ > 0 && !IsOverLimit()) {
    Frame& frame = frames_[depth_ - 1];
    if (frame.move == frame.moves.size()) {
      if (NextMember(frame) || IsOverLimit()) continue;
      if (frame.operation != kOrigin) PutBack(frame.operation);
      --depth_;
      continue;
    }
    const Move move = frame.moves[frame.move++];
    const Member from = frame.members[frame.member];
    const Fingerprint ordered = ordered_ ^ required_[move.operation].mark;
    if (!Enter(ordered, move.next, spent_sets_.Get(from.spent))) continue;
    visited_.Add(ordered ^ Fingerprint::OfNumber(~uint64_t{move.next}), from.spent);
    // Other reads than the first do not count, so that taking them at once closes no other way.
    const Required& taken = required_[move.operation];
    const int64_t cut = steps_table_.kind(taken.kind).is_read_only ? required_[0].invoked : taken.invoked;
    const int64_t last_invocation = std::max({frame.last_invocation, required_[0].invoked, cut});
    Take(move.operation);
    if (missing_ == 0) return Finish(Verdict::kLinearizable, from.spent);
    if (from.state != move.next && IsHopeless(from.state, move.next, spent_sets_.Get(from.spent), last_invocation)) {
      PutBack(move.operation);
      continue;
    }
    OpenFrame(move.operation, move.next, from.spent, last_invocation);
  }
  return Finish(IsOverLimit() ? Verdict::kGaveUp : Verdict::kNotLinearizable, SpentSets::kEmpty);
}

void Search::OpenFrame(uint32_t operation, uint32_t state, uint32_t spent, int64_t last_invocation) {
  if (frames_.size() == depth_) frames_.emplace_back();
  Frame& frame = frames_[depth_];
  frame.operation = operation;
  frame.last_invocation = last_invocation;
  ++depth_;
  frame.candidates.clear();
  uint32_t event = next_event_[next_event_.size() - 1];
  for (; event % 2 == 0; event = next_event_[event]) {
    const Required& candidate = required_[event / 2];
    const bool is_first = std::all_of(candidate.before.begin(), candidate.before.end(),
                                      [this](uint32_t before) { return required_[before].is_done; });
    if (is_first) frame.candidates.push_back(event / 2);
  }
  Blame(event / 2);
  frame.first_return = required_[event / 2].returned;
  // Whoever returns first is the likeliest to have been first.
  std::stable_sort(frame.candidates.begin(), frame.candidates.end(),
                   [this](uint32_t a, uint32_t b) { return required_[a].returned < required_[b].returned; });
  frame.members.assign(1, Member{state, spent, false});
  frame.expanded = 0;
  if (operation == kOrigin && has_deadlines_) StartAnywhere(frame);
  frame.member = 0;
  FindMoves(frame);
}

// If each operation that may be the first says which state it needs, or needs none, then these are the states to begin
// with, and none else has to be looked for.
void Search::StartAnywhere(Frame& frame) {
  for (const uint32_t operation : frame.candidates) {
    const StepTable::Kind& kind = steps_table_.kind(required_[operation].kind);
    if (kind.needs == kNone && !kind.is_overwrite) return;
  }
  for (const uint32_t operation : frame.candidates) {
    const uint32_t needs = steps_table_.kind(required_[operation].kind).needs;
    if (needs == kNone || !Enter(ordered_, needs, SpentSets::Set())) continue;
    visited_.Add(ordered_ ^ Fingerprint::OfNumber(~uint64_t{needs}), SpentSets::kEmpty);
    frame.members.push_back(Member{needs, SpentSets::kEmpty, false});
  }
  for (Member& member : frame.members) member.is_settled = true;
}

// Goes on to a member that has a move. False: there is none.
bool Search::NextMember(Frame& frame) {
  while (!IsOverLimit()) {
    ++frame.member;
    while (frame.member >= frame.members.size()) {
      if (frame.expanded == frame.members.size() || IsOverLimit()) return false;
      Expand(frame, frame.expanded++);
    }
    FindMoves(frame);
    if (!frame.moves.empty()) return true;
  }
  return false;
}

void Search::FindMoves(Frame& frame) {
  Member& member = frame.members[frame.member];
  frame.moves.clear();
  frame.move = 0;
  for (const uint32_t operation : frame.candidates) {
    const StepTable::Kind& kind = steps_table_.kind(required_[operation].kind);
    // What it overwrites need not have been there: the frame's first member can do the same, with fewer spent.
    if (kind.is_overwrite && frame.member > 0) continue;
    ++steps_;
    const uint32_t next = steps_table_.Step(member.state, required_[operation].kind);
    if (next == kNone) continue;
    // What the others do later does not depend on when this one is done, so now is as good as ever. But the first
    // operation of all cuts off what had ended before.
    if (kind.is_read_only && (depth_ > 1 || !has_deadlines_)) {
      RINGRAFT_ASSERT(next == member.state);
      frame.moves.assign(1, Move{operation, next});
      member.is_settled = true;
      return;
    }
    frame.moves.push_back(Move{operation, next});
  }
}

void Search::Expand(Frame& frame, size_t from) {
  const Member member = frame.members[from];
  if (member.is_settled) return;
  for (uint32_t number = 0; number < pools_.size(); ++number) {
    const Pool& pool = pools_[number];
    if (pool.members[0].invoked > frame.first_return) break;
    // What it overwrites need not have been there, either.
    if (from > 0 && steps_table_.kind(pool.kind).is_overwrite) continue;
    ++steps_;
    const SpentSets::Set& spent = spent_sets_.Get(member.spent);
    const auto [first, last] = std::equal_range(spent.begin(), spent.end(), number);
    if (static_cast<size_t>(last - first) >= Available(pool, frame)) continue;
    const uint32_t next = steps_table_.Step(member.state, pool.kind);
    if (next == kNone || next == member.state) continue;
    scratch_.assign(spent.begin(), last);
    if (!pool.is_repeatable) scratch_.push_back(number);
    scratch_.insert(scratch_.end(), last, spent.end());
    if (!Enter(ordered_, next, scratch_)) continue;
    const uint32_t spent_now = spent_sets_.Intern(scratch_);
    visited_.Add(ordered_ ^ Fingerprint::OfNumber(~uint64_t{next}), spent_now);
    if (IsHopeless(member.state, next, scratch_, frame.last_invocation)) continue;
    frame.members.push_back(Member{next, spent_now, false});
  }
}

// How many of a pool may have taken effect by now; none if all that may are over.
size_t Search::Available(const Pool& pool, const Frame& frame) const {
  const auto is_earlier = [](const Pool::Member& member, int64_t time) { return member.invoked < time; };
  const auto first = std::lower_bound(pool.members.begin(), pool.members.end(), frame.first_return, is_earlier);
  auto count = static_cast<size_t>(first - pool.members.begin());
  size_t last = count;
  for (auto member = first; member != pool.members.end() && member->invoked == frame.first_return; ++member) {
    ++last;
    count += std::all_of(member->before.begin(), member->before.end(),
                         [this](uint32_t before) { return required_[before].is_done; });
  }
  if (last == 0 || pool.latest_return[last - 1] < frame.last_invocation) return 0;
  return count;
}

// Whether a configuration is new.
bool Search::Enter(const Fingerprint& ordered, uint32_t state, const SpentSets::Set& spent) {
  return !visited_.Covers(ordered ^ Fingerprint::OfNumber(~uint64_t{state}), spent, steps_);
}

// Is there an operation still to be ordered that cannot be any more, whatever comes, after `left` has become `state`?
bool Search::IsHopeless(uint32_t left, uint32_t state, const SpentSets::Set& spent, int64_t last_invocation) {
  ++steps_;
  if (knows_supply_ && left < demand_.size() && supply_[left] == 0) {
    const auto wanting = std::find_if(demand_[left].begin(), demand_[left].end(),
                                      [this](uint32_t operation) { return !required_[operation].is_done; });
    const auto has_more = [&](uint32_t number) {
      const Pool& pool = pools_[number];
      const auto [first, last] = std::equal_range(spent.begin(), spent.end(), number);
      return static_cast<size_t>(last - first) < pool.members.size() && pool.latest_return.back() >= last_invocation;
    };
    if (wanting != demand_[left].end() &&
        std::none_of(pool_supply_[left].begin(), pool_supply_[left].end(), has_more)) {
      Blame(*wanting);
      return true;
    }
  }
  const SearchHints* hints = steps_table_.hints();
  if (hints == nullptr) return false;
  const auto is_lost = [&](uint32_t operation) {
    const StepTable::Kind& kind = steps_table_.kind(required_[operation].kind);
    if (kind.result == nullptr || !hints->IsOutOfReach(steps_table_.state(state), kind.command, *kind.result)) {
      return false;
    }
    Blame(operation);
    return true;
  };
  size_t asked = 0;
  const auto head = static_cast<uint32_t>(next_event_.size() - 1);
  for (uint32_t event = next_event_[head]; event != head && asked < kForesight; event = next_event_[event]) {
    if (event % 2 == 1) continue;
    if (is_lost(event / 2)) return true;
    ++asked;
  }
  for (size_t i = 0; i < std::min(kForesight, by_return_.size()); ++i) {
    const uint32_t operation = by_return_[by_return_.size() - 1 - i];
    if (!required_[operation].is_done && is_lost(operation)) return true;
  }
  return false;
}

void Search::Take(uint32_t operation) {
  for (const uint32_t event : {2 * operation, 2 * operation + 1}) {
    next_event_[previous_event_[event]] = next_event_[event];
    previous_event_[next_event_[event]] = previous_event_[event];
  }
  Required& taken = required_[operation];
  taken.is_done = true;
  ordered_ = ordered_ ^ taken.mark;
  --missing_;
  const uint32_t leaves = steps_table_.kind(taken.kind).leaves;
  if (leaves != kNone) --supply_[leaves];
}

// Undoes the last `Take` that has not been undone.
void Search::PutBack(uint32_t operation) {
  for (const uint32_t event : {2 * operation + 1, 2 * operation}) {
    next_event_[previous_event_[event]] = event;
    previous_event_[next_event_[event]] = event;
  }
  Required& taken = required_[operation];
  taken.is_done = false;
  ordered_ = ordered_ ^ taken.mark;
  ++missing_;
  const uint32_t leaves = steps_table_.kind(taken.kind).leaves;
  if (leaves != kNone) ++supply_[leaves];
}

SearchOutcome Search::Finish(Verdict verdict, uint32_t spent) {
  SearchOutcome outcome;
  outcome.verdict = verdict;
  outcome.steps = steps_;
  outcome.impossible_at = impossible_at_;
  if (verdict != Verdict::kLinearizable) {
    std::vector<std::pair<size_t, size_t>> blamed;
    for (const Required& required : required_) {
      if (required.blamed_at > 0) blamed.emplace_back(required.blamed_at, required.position);
    }
    const size_t count = std::min(kMaxSuspects, blamed.size());
    std::partial_sort(blamed.begin(), blamed.begin() + static_cast<ptrdiff_t>(count), blamed.end(), std::greater<>());
    for (size_t i = 0; i < count; ++i) outcome.suspects.push_back(blamed[i].second);
  }
  std::map<uint32_t, size_t> taken;
  for (const uint32_t pool : spent_sets_.Get(spent)) {
    outcome.spent.push_back(pools_[pool].members[taken[pool]++].position);
  }
  return outcome;
}

}  // namespace

SearchOutcome FindOrder(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
                        uint64_t max_steps) {
  return Search(model, partition, operations, max_steps).Run();
}

}  // namespace ringraft::checker
