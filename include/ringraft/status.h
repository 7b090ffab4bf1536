// What a node tells about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft {

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* ToString(Role role);  // "follower", "candidate" (also for a pre-candidate), "leader"

struct PeerStatus {
  Peer peer;
  bool is_self = false;
  bool is_voter = true;      // of the newest configuration
  Index match_index;         // leader only: durable there
  uint64_t lag_entries = 0;  // leader only: last_index - match_index
  size_t inflight_bytes = 0;
  bool is_reachable = false;  // leader only: answered within the last election timeout
};

struct RaftStatus {
  NodeId id;
  Role role = Role::kFollower;
  Term term;
  std::optional<Peer> leader;
  Index last_index;
  Index durable_index;
  Index commit_index;
  Index applied_index;
  bool is_joint = false;  // a configuration change is between C(old,new) and C(new)
  std::vector<PeerStatus> peers;  // the members, ascending by id
  size_t waiting_calls = 0;
  size_t waiting_bytes = 0;
  bool is_stopped = false;
  Error stop_reason;  // kOk after a clean stop
};

}  // namespace ringraft
