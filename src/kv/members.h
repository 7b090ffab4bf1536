// The subcommands of RAFT that change the members.
#pragma once

#include <span>
#include <string_view>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"

namespace ringraft::kv {

// Do the words after RAFT begin with a whole step? The steps are ADD id addr [LEARNER|WITNESS],
// REMOVE|PROMOTE|DEMOTE|READMIT id, ADDR id addr, and DATA id text.
bool IsMembersCommand(std::span<const std::string_view> args);

// RAFT step [step ...] [IF index]: all steps are one change. kInvalidArgument, with the cause, for malformed words.
Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args);

}  // namespace ringraft::kv
