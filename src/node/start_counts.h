// Which start of which data directory the other nodes were last heard from: an earlier one, or the same one in another
// process, is a copy of the directory or a restored backup, and has forgotten what the later one has promised. Reactor
// only; owned by the node, which stores it.
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
  // The stored form; what makes no sense is kCorrupt.
  static Result<StartCounts> Decode(std::string_view stored);
  std::string Encode() const;

  // Errors: kDuplicateNode. What it has learned has to be stored if `is_news`.
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
