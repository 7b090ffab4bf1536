// Starts of node 1, and what the start counts say to them.
#pragma once

#include "cluster.h"
#include "node/identity.h"
#include "node/start_counts.h"

namespace ringraft::test {

inline Identity Start(uint64_t count, uint64_t process, uint64_t incarnation = 5) {
  Identity identity;
  identity.node = NodeId(1);
  identity.incarnation = incarnation;
  identity.start_count = count;
  identity.process = process;
  return identity;
}

struct Checked {
  Errc errc;
  bool is_news;
  bool operator==(const Checked&) const = default;
};
inline Checked Check(node::StartCounts& counts, const Identity& peer) {
  bool is_news = false;
  const Result<void> known = counts.Check(peer, is_news);
  return {known ? Errc::kOk : known.error().code(), is_news};
}

}  // namespace ringraft::test
