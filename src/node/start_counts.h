// The latest known start of each data directory of the other nodes. Reactor only; owned by PeerVerifier, which stores
// it.
//
// The problem: a restored backup, or a copy of a directory, has the incarnation of the original, but not the votes and
// entries that the original has acknowledged since. The naive way, to compare start counts, misses a copy that is
// started as often as the original. So each start also has a random process id, and a node presents those of its last
// 32 starts:
//
//   original   start 4 (a) ── start 5 (b) ── start 6 (c)
//                   └ copied
//   copy                     start 5 (d) ── start 6 (e) ── start 7 (f)
//
// A node that has last met start 5 (b) refuses start 4 (an earlier one), start 5 (d) (the same count, another process),
// and start 7 (f): its fifth start was (d). What it cannot notice is a copy of the present start that is met before the
// original's next start: that copy is taken for the original, which is refused then.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "ringraft/errc.h"
#include "ringraft/rpc.h"

namespace ringraft::node {

class StartCounts {
 public:
  // From the stored form. Errors: kCorrupt.
  static Result<StartCounts> Decode(std::string_view stored);
  std::string Encode() const;

  // Errors: kDuplicateNode if this start does not follow the latest known one. The caller stores the counts if
  // `is_news`.
  Result<void> Check(const Identity& peer, bool& is_news);
  uint64_t Latest(NodeId node, uint64_t incarnation) const;  // 0: none is known

 private:
  struct Start {
    uint64_t count = 0;
    uint64_t process = 0;
  };
  std::map<std::pair<NodeId, uint64_t>, Start> starts_;  // by node and incarnation
};

}  // namespace ringraft::node
