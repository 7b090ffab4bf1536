// When the log grew, and by how much: what "so many bytes and so long behind" means of a peer. Batches count
// as a whole; what is far counts up to a sixty-fourth too many entries. Bounded in memory. Owned by the core.
#pragma once

#include <cstdint>
#include <vector>

#include "ringraft/types.h"

namespace ringraft::core {

class AppendHistory {
 public:
  // At this resolution fewer than 3,000 marks span all indexes there are.
  static constexpr size_t kMaxMarks = 4096;
  static constexpr uint64_t kResolution = 64;

  // What the log held at the start counts as no bytes, and as old as the start.
  AppendHistory(Index last_index, TimePoint now) : marks_{Mark{last_index, 0, now}} {}

  void Append(Index last_index, size_t bytes, TimePoint now);
  void TruncateAfter(Index index);

  // The entries behind `index`.
  struct Lag {
    uint64_t bytes = 0;
    Duration time{};  // since the oldest of them was appended
  };
  Lag Behind(Index index, TimePoint now) const;

  size_t size() const { return marks_.size(); }

 private:
  struct Mark {
    Index last;
    uint64_t bytes = 0;  // appended up to here
    TimePoint when;
  };

  void Thin();

  std::vector<Mark> marks_;  // ascending; never empty
};

}  // namespace ringraft::core
