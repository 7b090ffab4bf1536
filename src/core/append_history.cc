#include "core/append_history.h"

#include <algorithm>

#include "base/assert.h"

namespace ringraft::core {

void AppendHistory::Append(Index last_index, size_t bytes, TimePoint now) {
  RINGRAFT_ASSERT(last_index > marks_.back().last);
  if (marks_.size() == kMaxMarks) Thin();
  marks_.push_back(Mark{last_index, marks_.back().bytes + bytes, now});
}

void AppendHistory::TruncateAfter(Index index) {
  while (marks_.size() > 1 && marks_.back().last > index) marks_.pop_back();
  marks_.back().last = std::min(marks_.back().last, index);
}

AppendHistory::Lag AppendHistory::Behind(Index index, TimePoint now) const {
  // The first mark that the peer has not reached; the entries between two marks count as a whole.
  const auto missing =
      std::partition_point(marks_.begin(), marks_.end(), [index](const Mark& mark) { return mark.last <= index; });
  if (missing == marks_.end()) return Lag{};
  const uint64_t had = missing == marks_.begin() ? 0 : std::prev(missing)->bytes;
  return Lag{marks_.back().bytes - had, now - missing->when};
}

// Keeps marks that are at most a kResolution-th of their age (entries after them) apart: the older, the coarser.
void AppendHistory::Thin() {
  const uint64_t last = marks_.back().last.value();
  size_t kept = 1;  // the start stays
  for (size_t i = 1; i < marks_.size(); ++i) {
    const bool is_last = i + 1 == marks_.size();
    const uint64_t age = last - marks_[i].last.value();
    if (is_last || marks_[i + 1].last - marks_[kept - 1].last > age / kResolution) marks_[kept++] = marks_[i];
  }
  marks_.resize(kept, marks_.front());
}

}  // namespace ringraft::core
