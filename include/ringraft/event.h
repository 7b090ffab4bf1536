// What a node tells when something about its leadership, its members or its health changes. As a stream:
// `co_await stream.Next()` (Raft::Events), and as a callback: Options::on_event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ringraft/errc.h"
#include "ringraft/status.h"
#include "ringraft/types.h"

namespace ringraft {

enum class EventKind : uint8_t {
  kRole,     // this node has another role
  kLeader,   // another leader is known, or the same in another term, or none any more
  kMembers,  // another configuration is the newest, or it is committed now
  kPeer,     // of a leader: a peer answers, or no longer does; or it runs on another data directory than the member's
  kDisk,     // this node's disk stalls, or is well again
  kStopped,  // the last event: nothing of the node runs any more. To destroy it, await Raft::Done
};
const char* ToString(EventKind kind);  // "role", "leader", ...

struct Event {
  EventKind kind = EventKind::kRole;
  uint64_t lost = 0;  // of a stream: so many events before this one were dropped, since nobody took them

  // With every kind, as of the end of the turn in which it happened.
  NodeId id;  // of this node
  Role role = Role::kFollower;
  Term term;
  std::optional<Peer> leader;

  Index configuration_index;  // kMembers; RaftStatus::peers has the members
  bool is_joint = false;
  bool is_committed = false;

  Peer peer;  // kPeer
  bool is_reachable = false;
  bool needs_readmission = false;

  bool is_disk_stalled = false;  // kDisk

  Error reason;  // kStopped: kOk after `Raft::Stop`
};
// One line for people: "node 1: follows node 2 in term 5".
std::string ToString(const Event& event);

}  // namespace ringraft
