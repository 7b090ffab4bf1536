#include "node/start_counts.h"

#include <cstring>

#include "base/format.h"

namespace ringraft::node {
namespace {

// More than any cluster has; bounds the stored value.
constexpr size_t kMaxStarts = 4096;

// Little-endian, one after the other; schemas/stored.md says the same.
struct StoredStart {
  uint64_t node = 0, incarnation = 0, count = 0, process = 0;
};
static_assert(sizeof(StoredStart) == 32);

}  // namespace

Result<StartCounts> StartCounts::Decode(std::string_view stored) {
  StartCounts counts;
  if (stored.size() % sizeof(StoredStart) != 0 || stored.size() / sizeof(StoredStart) > kMaxStarts)
    return Error(Errc::kCorrupt, fmt::format("the stored start counts have {} bytes; empty this node's data "
                                             "directory and readmit the node",
                                             stored.size()));
  for (size_t at = 0; at < stored.size(); at += sizeof(StoredStart)) {
    StoredStart start;
    std::memcpy(&start, stored.data() + at, sizeof start);
    counts.starts_[{NodeId(start.node), start.incarnation}] = Start{start.count, start.process};
  }
  return counts;
}

std::string StartCounts::Encode() const {
  std::string stored;
  for (const auto& [directory, start] : starts_) {
    const StoredStart one{directory.first.value(), directory.second, start.count, start.process};
    stored.append(reinterpret_cast<const char*>(&one), sizeof one);
  }
  return stored;
}

uint64_t StartCounts::Latest(NodeId node, uint64_t incarnation) const {
  auto known = starts_.find({node, incarnation});
  return known == starts_.end() ? 0 : known->second.count;
}

Result<void> StartCounts::Check(const Identity& peer, bool& is_news) {
  is_news = false;
  if (peer.incarnation == 0) return Success();
  auto known = starts_.find({peer.node, peer.incarnation});
  if (known == starts_.end()) {
    if (starts_.size() >= kMaxStarts) return Success();
    known = starts_.emplace(std::pair(peer.node, peer.incarnation), Start{}).first;
  }
  Start& start = known->second;
  const bool is_other = peer.process != 0 && start.process != 0 && peer.process != start.process;
  const uint64_t since = peer.start_count - start.count;
  const bool has_parted = peer.start_count > start.count && start.process != 0 && since <= peer.earlier.size() &&
                          peer.earlier[since - 1] != 0 && peer.earlier[since - 1] != start.process;
  if (peer.start_count < start.count || (peer.start_count == start.count && is_other) || has_parted) {
    return Error(
        Errc::kDuplicateNode,
        fmt::format(
            "node {} presents start {} of its data directory, which does not follow the known "
            "start {}: it runs on a copy or a restored backup; stop it, empty its directory, start it and readmit "
            "it",
            peer.node, peer.start_count, start.count));
  }
  if (peer.start_count == start.count) return Success();
  start = Start{peer.start_count, peer.process};
  is_news = true;
  return Success();
}

}  // namespace ringraft::node
