#include "ringraft/event.h"

#include "base/format.h"

namespace ringraft {
namespace {

std::string TextOfLeader(const Event& event) {
  if (!event.leader) return fmt::format("does not know of a leader in term {}", event.term);
  if (event.leader->id == event.id) return fmt::format("is leader of term {}", event.term);
  return fmt::format("follows node {} in term {}", event.leader->id, event.term);
}

std::string TextOfPeer(const Event& event) {
  const char* const what = !event.is_reachable       ? "is unreachable"
                           : event.needs_readmission ? "runs on another data directory: readmit it if its own is lost"
                                                     : "is reachable";
  return fmt::format("node {} at {} {}", event.peer.id, event.peer.addr, what);
}

std::string Text(const Event& event) {
  switch (event.kind) {
    case EventKind::kRole:
      return fmt::format("{} in term {}", ToString(event.role), event.term);
    case EventKind::kLeader:
      return TextOfLeader(event);
    case EventKind::kMembers:
      return fmt::format("the configuration at index {} is {}{}", event.configuration_index,
                         event.is_committed ? "committed" : "the newest", event.is_joint ? ", and joint" : "");
    case EventKind::kPeer:
      return TextOfPeer(event);
    case EventKind::kDisk:
      return event.is_disk_stalled ? "its disk is stalled" : "its disk has recovered";
    case EventKind::kStopped:
      if (event.reason.code() == Errc::kOk) return "stopped";
      return "stopped: " + event.reason.message();
  }
  return "?";
}

}  // namespace

const char* ToString(EventKind kind) {
  switch (kind) {
    case EventKind::kRole:
      return "role";
    case EventKind::kLeader:
      return "leader";
    case EventKind::kMembers:
      return "members";
    case EventKind::kPeer:
      return "peer";
    case EventKind::kDisk:
      return "disk";
    case EventKind::kStopped:
      return "stopped";
  }
  return "?";
}

std::string ToString(const Event& event) { return fmt::format("node {}: {}", event.id, Text(event)); }

}  // namespace ringraft
