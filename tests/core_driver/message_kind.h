// The messages between servers. A header of its own, since the syntax of scenarios needs nothing else of the core.
#pragma once

#include <cstdint>

namespace ringraft::core {

enum class MessageKind : uint8_t {
  kPreVote,
  kVote,
  kAppend,
  kHeartbeat,
  kPreVoteReply,
  kVoteReply,
  kAppendReply,
  kHeartbeatReply,
};

inline bool IsReply(MessageKind kind) { return kind >= MessageKind::kPreVoteReply; }
inline bool IsVote(MessageKind kind) {
  return kind == MessageKind::kPreVote || kind == MessageKind::kVote || kind == MessageKind::kPreVoteReply ||
         kind == MessageKind::kVoteReply;
}
inline MessageKind ReplyTo(MessageKind request) { return static_cast<MessageKind>(static_cast<int>(request) + 4); }

}  // namespace ringraft::core
