// The subcommands of RAFT that change the cluster: its members, a change under way, the leader. Only the leader serves
// them.
#pragma once

#include <chrono>
#include <span>
#include <string_view>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/raft.h"
#include "ringraft/task.h"

namespace ringraft::kv {

// True for ABORT, TRANSFER [id], and at least one complete step of a change of members: ADD id addr [LEARNER|WITNESS],
// REMOVE|PROMOTE|DEMOTE|READMIT id, ADDR id addr, DATA id text. Anything else after RAFT needs no node.
bool IsClusterCommand(std::span<const std::string_view> args);

// RAFT step [step ...] [IF index]: all steps are one change. Errors: kInvalidArgument, with the cause.
Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args);

// Runs what IsClusterCommand is true for. A change of members has at least ten minutes, since a new member may need the
// whole log first; the others have `deadline`. What `args` refers to must outlive the task. Errors: kInvalidArgument,
// and those of the calls of Raft.
Task<Result<void>> RunClusterCommand(Raft& raft, std::span<const std::string_view> args,
                                     std::chrono::milliseconds deadline);

}  // namespace ringraft::kv
