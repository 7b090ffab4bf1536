// The status of a node: `Raft::Status`. A copy, as of the end of a turn of the reactor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* ToString(Role role);  // "follower", "candidate" (also for a pre-candidate), "leader"

struct PeerStatus {
  Peer peer;
  bool is_self = false;
  MemberKind kind = MemberKind::kVoter;  // by the newest configuration; while it is joint, a voter of C(old) or C(new)
  bool is_catching_up = false;  // leader only: a change waits for it, see ChangeConfig; it need not be a member yet
  uint64_t incarnation = 0;     // of the member's data directory; 0: not known yet
  std::string data;             // see ConfigChange::SetData
  Index match_index;            // leader only: the peer has the log up to here on its disk
  uint64_t lag_entries = 0;     // leader only: last_index - match_index
  // Leader only: encoded size of these entries; only entries that this process has appended are counted. Exact for a
  // small lag; for a large one it may include up to lag_entries / 64 more entries.
  uint64_t lag_bytes = 0;
  Duration lag_time{};        // leader only: since the oldest of these entries was appended here
  size_t inflight_bytes = 0;  // leader only: sent to the peer and not acknowledged
  // On the leader: since the peer's last reply, or since it became a peer. On a follower: since the last append or
  // heartbeat of its leader, and 0 for the other peers.
  Duration last_contact{};
  bool is_reachable = false;  // leader only: it has replied within the longest election timeout
  // Leader only: the peer replies from a data directory that is not the member's. It receives no log and does not count
  // until it is readmitted (ConfigChange::Readmit).
  bool needs_readmission = false;
};

struct RaftStatus {
  NodeId id;
  Role role = Role::kFollower;
  Term term;
  std::optional<Peer> leader;  // of `term`, if known
  Index last_index;            // of the log in memory
  Index durable_index;         // the log up to here is on this node's disk
  Index commit_index;
  Index applied_index;
  Index configuration_index;      // of the newest configuration, committed or not
  bool is_joint = false;          // a configuration change is between C(old,new) and C(new)
  std::vector<PeerStatus> peers;  // the members, and new voters that catch up; ascending by ID
  bool is_disk_stalled = false;   // see Options::disk_stall_limit
  Duration disk_latency{};        // of the last write, or of the present one if that has taken longer
  size_t waiting_calls = 0;       // calls that have not ended; see Limits::max_waiting_calls
  size_t waiting_bytes = 0;       // accepted and not yet in the log; see Limits::max_waiting_bytes
  bool is_stopped = false;
  Error stop_reason;  // kOk after `Raft::Stop`
};

}  // namespace ringraft
