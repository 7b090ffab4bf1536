#include "checker/linearization_search.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "base/assert.h"
#include "checker/configuration_cache.h"
#include "checker/pending_operations.h"
#include "checker/step_table.h"

namespace ringraft::checker {
namespace {

using Verdict = LinearizabilityResult::Verdict;

constexpr uint32_t kNone = StepTable::kNone;
constexpr uint32_t kOrigin = kNone;  // no operation leads to the first frame
// How many of the first and of the last pending operations are checked for having come out of reach.
constexpr size_t kForesight = 24;
constexpr size_t kMaxSuspects = 6;
// Of memory; a search that needs more gives up.
constexpr size_t kMaxBytes = size_t{1} << 30;

class Search {
 public:
  Search(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
         uint64_t max_steps)
      : max_steps_(max_steps),
        steps_table_(model, operations.size()),
        initial_(steps_table_.Intern(model.Initial(partition))),
        pending_(operations, steps_table_),
        blamed_at_(pending_.required_count(), 0) {}
  SearchOutcome Run();

 private:
  using Pool = PendingOperations::Pool;
  using Required = PendingOperations::Required;

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
    uint32_t operation = kOrigin;  // the last one ordered
    int64_t first_return = 0;      // of the pending operations
    int64_t last_invocation = 0;   // of the ordered ones that may have changed the state
    std::vector<uint32_t> candidates;
    std::vector<Member> members;
    size_t expanded = 0;      // members of which all successors by one optional operation are members
    size_t member = 0;        // the current one
    std::vector<Move> moves;  // of the current member
    size_t move = 0;          // the next of them
  };

  void OpenFrame(uint32_t operation, uint32_t state, uint32_t spent, int64_t last_invocation);
  void StartAnywhere(Frame& frame);
  bool NextMember(Frame& frame);
  void FindMoves(Frame& frame);
  void Expand(Frame& frame, size_t from);
  bool IsNew(const Fingerprint& ordered, uint32_t state, const SpentSets::Set& spent);
  bool IsHopeless(uint32_t left, uint32_t state, const SpentSets::Set& spent, int64_t last_invocation);
  void Blame(uint32_t operation) {
    impossible_at_ = std::max(impossible_at_, pending_.required(operation).returned);
    const size_t ordered = pending_.required_count() - pending_.missing();
    blamed_at_[operation] = std::max(blamed_at_[operation], ordered + 1);
  }
  const StepTable::Kind& KindOf(uint32_t operation) const {
    return steps_table_.kind(pending_.required(operation).kind);
  }
  bool IsOverLimit() const {
    return steps_ > max_steps_ || steps_table_.bytes() + spent_sets_.bytes() + visited_.bytes() > kMaxBytes;
  }
  SearchOutcome Finish(Verdict verdict, uint32_t spent);

  const uint64_t max_steps_;
  StepTable steps_table_;
  const uint32_t initial_;
  SpentSets spent_sets_;
  ConfigurationCache visited_{spent_sets_};
  PendingOperations pending_;
  // By operation: how many were ordered, plus one, when the search last failed on it; 0: never.
  std::vector<size_t> blamed_at_;

  std::vector<Frame> frames_;
  size_t depth_ = 0;
  uint64_t steps_ = 0;
  int64_t impossible_at_ = std::numeric_limits<int64_t>::min();
  SpentSets::Set scratch_;
};

SearchOutcome Search::Run() {
  if (pending_.missing() == 0) return Finish(Verdict::kLinearizable, SpentSets::kEmpty);
  if (const uint32_t unsupplied = pending_.FindUnsupplied(initial_); unsupplied != kNone) {
    Blame(unsupplied);
    return Finish(Verdict::kNotLinearizable, SpentSets::kEmpty);
  }
  visited_.Add(pending_.ordered() ^ Fingerprint::OfNumber(~uint64_t{initial_}), SpentSets::kEmpty);
  OpenFrame(kOrigin, initial_, SpentSets::kEmpty, std::numeric_limits<int64_t>::min());
  while (depth_ > 0 && !IsOverLimit()) {
    Frame& frame = frames_[depth_ - 1];
    if (frame.move == frame.moves.size()) {
      if (NextMember(frame) || IsOverLimit()) continue;
      if (frame.operation != kOrigin) pending_.PutBack(frame.operation);
      --depth_;
      continue;
    }
    const Move move = frame.moves[frame.move++];
    const Member from = frame.members[frame.member];
    const Required& taken = pending_.required(move.operation);
    const Fingerprint ordered = pending_.ordered() ^ taken.mark;
    if (!IsNew(ordered, move.next, spent_sets_.Get(from.spent))) continue;
    visited_.Add(ordered ^ Fingerprint::OfNumber(~uint64_t{move.next}), from.spent);
    // Reads after the first do not count, so that taking them at once excludes no other order.
    const int64_t first_invocation = pending_.required(0).invoked;
    const int64_t cut = steps_table_.kind(taken.kind).is_read_only ? first_invocation : taken.invoked;
    const int64_t last_invocation = std::max({frame.last_invocation, first_invocation, cut});
    pending_.Take(move.operation);
    if (pending_.missing() == 0) return Finish(Verdict::kLinearizable, from.spent);
    if (from.state != move.next && IsHopeless(from.state, move.next, spent_sets_.Get(from.spent), last_invocation)) {
      pending_.PutBack(move.operation);
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
  const uint32_t first = pending_.FindCandidates(frame.candidates);
  Blame(first);
  frame.first_return = pending_.required(first).returned;
  // The operation that returned first is the likeliest to have taken effect first.
  std::stable_sort(frame.candidates.begin(), frame.candidates.end(), [this](uint32_t a, uint32_t b) {
    return pending_.required(a).returned < pending_.required(b).returned;
  });
  frame.members.assign(1, Member{state, spent, false});
  frame.expanded = 0;
  if (operation == kOrigin && pending_.has_deadlines()) StartAnywhere(frame);
  frame.member = 0;
  FindMoves(frame);
}

// If each operation that may be the first names the state that it needs, or needs none, then these are all the states
// to start from.
void Search::StartAnywhere(Frame& frame) {
  for (const uint32_t operation : frame.candidates) {
    const StepTable::Kind& kind = KindOf(operation);
    if (kind.needs == kNone && !kind.is_overwrite) return;
  }
  for (const uint32_t operation : frame.candidates) {
    const uint32_t needs = KindOf(operation).needs;
    if (needs == kNone || !IsNew(pending_.ordered(), needs, SpentSets::Set())) continue;
    visited_.Add(pending_.ordered() ^ Fingerprint::OfNumber(~uint64_t{needs}), SpentSets::kEmpty);
    frame.members.push_back(Member{needs, SpentSets::kEmpty, false});
  }
  for (Member& member : frame.members) member.is_settled = true;
}

// Advances to the next member that has a move. False: there is none.
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
    const StepTable::Kind& kind = KindOf(operation);
    // What it overwrites makes no difference: the frame's first member has the same move, with fewer spent.
    if (kind.is_overwrite && frame.member > 0) continue;
    ++steps_;
    const uint32_t next = steps_table_.Step(member.state, pending_.required(operation).kind);
    if (next == kNone) continue;
    // When a read is ordered makes no difference to the operations after it, so it is taken now. The first operation
    // of all is an exception: it excludes optional ones that had returned before it.
    if (kind.is_read_only && (depth_ > 1 || !pending_.has_deadlines())) {
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
  for (uint32_t number = 0; number < pending_.pools().size(); ++number) {
    const Pool& pool = pending_.pools()[number];
    if (pool.members[0].invoked > frame.first_return) break;
    // What it overwrites makes no difference here either.
    if (from > 0 && steps_table_.kind(pool.kind).is_overwrite) continue;
    ++steps_;
    const SpentSets::Set& spent = spent_sets_.Get(member.spent);
    const auto [first, last] = std::equal_range(spent.begin(), spent.end(), number);
    const size_t available = pending_.Available(pool, frame.first_return, frame.last_invocation);
    if (static_cast<size_t>(last - first) >= available) continue;
    const uint32_t next = steps_table_.Step(member.state, pool.kind);
    if (next == kNone || next == member.state) continue;
    scratch_.assign(spent.begin(), last);
    if (!pool.is_repeatable) scratch_.push_back(number);
    scratch_.insert(scratch_.end(), last, spent.end());
    if (!IsNew(pending_.ordered(), next, scratch_)) continue;
    const uint32_t spent_now = spent_sets_.Intern(scratch_);
    visited_.Add(pending_.ordered() ^ Fingerprint::OfNumber(~uint64_t{next}), spent_now);
    if (IsHopeless(member.state, next, scratch_, frame.last_invocation)) continue;
    frame.members.push_back(Member{next, spent_now, false});
  }
}

bool Search::IsNew(const Fingerprint& ordered, uint32_t state, const SpentSets::Set& spent) {
  return !visited_.Covers(ordered ^ Fingerprint::OfNumber(~uint64_t{state}), spent, steps_);
}

// Whether, now that `left` has become `state`, some pending operation has become impossible, whatever comes.
bool Search::IsHopeless(uint32_t left, uint32_t state, const SpentSets::Set& spent, int64_t last_invocation) {
  ++steps_;
  if (const uint32_t starved = pending_.FindStarved(left, spent, last_invocation); starved != kNone) {
    Blame(starved);
    return true;
  }
  const SearchHints* hints = steps_table_.hints();
  if (hints == nullptr) return false;
  return pending_.AnyNearEnds(kForesight, [&](uint32_t operation) {
    const StepTable::Kind& kind = KindOf(operation);
    if (kind.result == nullptr || !hints->IsOutOfReach(steps_table_.state(state), kind.command, *kind.result)) {
      return false;
    }
    Blame(operation);
    return true;
  });
}

SearchOutcome Search::Finish(Verdict verdict, uint32_t spent) {
  SearchOutcome outcome;
  outcome.verdict = verdict;
  outcome.steps = steps_;
  outcome.impossible_at = impossible_at_;
  if (verdict != Verdict::kLinearizable) {
    std::vector<std::pair<size_t, size_t>> blamed;
    for (uint32_t i = 0; i < blamed_at_.size(); ++i) {
      if (blamed_at_[i] > 0) blamed.emplace_back(blamed_at_[i], pending_.required(i).position);
    }
    const size_t count = std::min(kMaxSuspects, blamed.size());
    std::partial_sort(blamed.begin(), blamed.begin() + static_cast<ptrdiff_t>(count), blamed.end(), std::greater<>());
    for (size_t i = 0; i < count; ++i) outcome.suspects.push_back(blamed[i].second);
  }
  std::map<uint32_t, size_t> taken;
  for (const uint32_t pool : spent_sets_.Get(spent)) {
    outcome.spent.push_back(pending_.pools()[pool].members[taken[pool]++].position);
  }
  return outcome;
}

}  // namespace

SearchOutcome FindOrder(const Model& model, std::string_view partition, const std::vector<SearchOperation>& operations,
                        uint64_t max_steps) {
  return Search(model, partition, operations, max_steps).Run();
}

}  // namespace ringraft::checker
