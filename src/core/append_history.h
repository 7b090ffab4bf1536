// When the log grew, and by how much: for the lag of a peer in bytes and time. Owned by the core.
//
// The problem: the lag is needed for any match index, also for a peer that has been away for days. The naive way, a
// time and a byte offset for each entry, needs memory in proportion to the log. So it keeps marks, and thins them out
// when there are too many: two neighbors are at most 1/64 of their distance from the end apart, so a small lag is exact
// and a large one counts up to 1/64 too many entries. The number of marks grows with the logarithm of the log's length.
//
//     log     |...................................................|
//     marks   ^               ^               ^       ^   ^  ^ ^ ^^
//             start           coarse                          exact
//
// The idea is that of exponential histograms (Datar, Gionis, Indyk and Motwani, 2002).
#pragma once

#include <cstdint>
#include <vector>

#include "ringraft/types.h"

namespace ringraft::core {

class AppendHistory {
 public:
  // At this resolution fewer than 3,000 marks span all possible indexes.
  static constexpr size_t kMaxMarks = 4096;
  static constexpr uint64_t kResolution = 64;

  // The entries that the log has at startup count as 0 bytes, and as appended at startup.
  AppendHistory(Index last_index, TimePoint now) : marks_{Mark{last_index, 0, now}} {}

  void Append(Index last_index, size_t bytes, TimePoint now);
  void TruncateAfter(Index index);

  // The entries after `index`: how far a peer with this match index is behind. Batches count as a whole.
  struct Lag {
    uint64_t bytes = 0;
    Duration time{};  // since the oldest of them was appended
  };
  Lag Behind(Index index, TimePoint now) const;

  size_t size() const { return marks_.size(); }

 private:
  struct Mark {
    Index last;
    uint64_t bytes = 0;  // appended since startup up to `last`
    TimePoint when;
  };

  void Thin();

  std::vector<Mark> marks_;  // Invariant: ascending, never empty
};

}  // namespace ringraft::core
