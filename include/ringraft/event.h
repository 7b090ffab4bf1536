// Changes of a node's leadership, members and health: as a stream (`co_await stream.Next()`, see Raft::Events) and as a
// callback (Options::on_event).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "ringraft/errc.h"
#include "ringraft/status.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

enum class EventKind : uint8_t {
  kRole,     // this node's role has changed
  kLeader,   // the known leader has changed, or its term; or no leader is known any longer
  kMembers,  // there is a new newest configuration, or the newest one has been committed
  kPeer,     // leader only: a peer has become reachable or unreachable, or needs readmission or no longer does
  kDisk,     // this node's disk has stalled or recovered
  kStopped,  // the last event: no coroutine of the node runs any longer. Await Raft::Done before destroying it
};
const char* ToString(EventKind kind);  // "role", "leader", ...

struct Event {
  EventKind kind = EventKind::kRole;
  uint64_t lost = 0;  // streams only: events dropped right before this one because the queue was full (1024)

  // Set for every kind, as of the end of the turn in which the change happened.
  NodeId id;  // of this node
  Role role = Role::kFollower;
  Term term;
  std::optional<Peer> leader;

  Index configuration_index;  // kMembers; RaftStatus::peers lists the members
  bool is_joint = false;
  bool is_committed = false;

  Peer peer;  // kPeer
  bool is_reachable = false;
  bool needs_readmission = false;

  bool is_disk_stalled = false;  // kDisk

  Error reason;  // kStopped: why the node stopped; kOk after `Raft::Stop`
};
// One line for people: "node 1: follows node 2 in term 5".
std::string ToString(const Event& event);

}  // namespace ringraft
