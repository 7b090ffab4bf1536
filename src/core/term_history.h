// The term of each index, as a list of runs, so that the core never reads the log to compare terms.
#pragma once

#include <vector>

#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::core {

class TermHistory {
 public:
  TermHistory() = default;
  TermHistory(std::vector<TermRun> runs, Index last_index);

  Index last_index() const { return last_index_; }
  Term last_term() const;
  Term TermAt(Index index) const;  // 0 at index 0 and beyond the last index
  bool Match(Index index, Term term) const { return index <= last_index_ && TermAt(index) == term; }  // (0, 0) matches
  // The last position with an index of at most `index` and a term of at most `term`, (0, 0) if there is none: for
  // conflict hints, which skip whole terms on both sides (§3.5).
  LogPosition LastNotAfter(Index index, Term term) const;

  void Append(Index last_index, Term term);  // the new entries up to last_index have this term
  void TruncateAfter(Index index);
  const std::vector<TermRun>& runs() const { return runs_; }

 private:
  std::vector<TermRun> runs_;
  Index last_index_;
};

}  // namespace ringraft::core
