#include "core/term_history.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace ringraft::core {
namespace {

// The run of `index`: the last one that begins at or before it; `runs.end()` if there is none.
std::vector<TermRun>::const_iterator RunOf(const std::vector<TermRun>& runs, Index index) {
  auto next = std::upper_bound(runs.begin(), runs.end(), index,
                               [](Index wanted, const TermRun& run) { return wanted < run.first_index; });
  return next == runs.begin() ? runs.end() : next - 1;
}

}  // namespace

TermHistory::TermHistory(std::vector<TermRun> runs, Index last_index)
    : runs_(std::move(runs)), last_index_(last_index) {
  for (size_t i = 0; i < runs_.size(); ++i) {
    RINGRAFT_ASSERT(runs_[i].term != Term(0));
    RINGRAFT_ASSERT(runs_[i].first_index <= last_index_);
    RINGRAFT_ASSERT(i == 0 || runs_[i - 1].first_index < runs_[i].first_index);
    RINGRAFT_ASSERT(i == 0 || runs_[i - 1].term < runs_[i].term);
  }
  RINGRAFT_ASSERT(runs_.empty() == (last_index_ == Index(0)));
}

Term TermHistory::last_term() const { return runs_.empty() ? Term(0) : runs_.back().term; }

Term TermHistory::TermAt(Index index) const {
  if (index > last_index_) return Term(0);
  // Almost every call is for the last run.
  if (!runs_.empty() && index >= runs_.back().first_index) return runs_.back().term;
  auto run = RunOf(runs_, index);
  return run == runs_.end() ? Term(0) : run->term;
}

LogPosition TermHistory::LastNotAfter(Index index, Term term) const {
  index = std::min(index, last_index_);
  auto run = RunOf(runs_, index);
  if (run == runs_.end()) return LogPosition{};
  // Terms ascend along the log, so the runs with a larger term are at the end.
  while (run->term > term) {
    if (run == runs_.begin()) return LogPosition{};
    index = run->first_index - 1;
    --run;
  }
  return LogPosition{index, run->term};
}

void TermHistory::Append(Index last_index, Term term) {
  RINGRAFT_ASSERT(last_index > last_index_);
  RINGRAFT_ASSERT(term != Term(0));
  RINGRAFT_ASSERT(term >= last_term());
  if (term != last_term()) runs_.push_back(TermRun{last_index_ + 1, term});
  last_index_ = last_index;
}

void TermHistory::TruncateAfter(Index index) {
  if (index >= last_index_) return;
  last_index_ = index;
  while (!runs_.empty() && runs_.back().first_index > index) runs_.pop_back();
}

}  // namespace ringraft::core
