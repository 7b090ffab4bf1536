// What a node tells about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft {

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* ToString(Role role);  // "follower", "candidate" (also for a pre-candidate), "leader"

struct PeerStatus {
  Peer peer;
  bool is_self = false;
  MemberKind kind = MemberKind::kVoter;  // by the newest configuration; while it is joint, a voter of either half
  bool is_catching_up = false;  // leader only: a change waits for it, see ChangeConfig; it may be no member yet
  uint64_t incarnation = 0;     // of the data directory that is the member; 0: not known yet
  std::string data;             // the member's, see ConfigChange::SetData
  Index match_index;         // leader only: durable there
  uint64_t lag_entries = 0;  // leader only: last_index - match_index
  // Leader only: of these entries, as far as this process has appended them. What
  // is near is exact; of what is far, up to a 64th of `lag_entries` too many are counted.
  uint64_t lag_bytes = 0;
  Duration lag_time{};  // leader only: since the oldest of them was appended here
  size_t inflight_bytes = 0;
  // Of the leader: since the peer has answered last, or has become a peer. Of a follower: since its leader has spoken
  // last; 0 for all others.
  Duration last_contact{};
  bool is_reachable = false;  // leader only: answered within the last election timeout
  // Leader only: it answers with another data directory than the one that is the member. It does not count until it is
  // admitted: ConfigChange::Readmit.
  bool needs_readmission = false;
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
  Index configuration_index;      // of the newest configuration, committed or not
  bool is_joint = false;          // a configuration change is between C(old,new) and C(new)
  std::vector<PeerStatus> peers;  // the members, and new voters that catch up; ascending by id
  bool is_disk_stalled = false;   // see Options::disk_stall_limit
  Duration disk_latency{};        // of the last write, or of the one that goes on if that is longer
  size_t waiting_calls = 0;
  size_t waiting_bytes = 0;
  bool is_stopped = false;
  Error stop_reason;  // kOk after a clean stop
};

}  // namespace ringraft
