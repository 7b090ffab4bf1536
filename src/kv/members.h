// The subcommands of RAFT that change the members.
#pragma once

#include <span>
#include <string_view>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"

namespace ringraft::kv {

// Is it ADD, REMOVE, PROMOTE, DEMOTE, ADDR or DATA (the second word), with a right number of words?
bool IsMembersCommand(std::span<const std::string_view> args);

// RAFT ADD id addr [LEARNER], RAFT REMOVE|PROMOTE|DEMOTE id, RAFT ADDR id addr, RAFT DATA id text; each may end with
// IF index. kInvalidArgument, with the cause, for malformed words.
Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args);

}  // namespace ringraft::kv
