// Elections: waits for the core's ticks, and requests votes for the rounds that come of them. Reactor only; owned by
// the node.
#pragma once

#include "core/core.h"
#include "coro/loop.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "node/node_control.h"
#include "node/storage_driver.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Elector {
 public:
  // The rounds run in `scope`.
  Elector(coro::Loop& loop, core::Core& core, Rpc& rpc, StorageDriver& storage, coro::Scope& scope,
          NodeControl& control);

  // Never completes.
  Task<void> Run();
  // End of the turn: starts the core's vote rounds, and wakes `Run` if the next tick has moved closer.
  void Wake();

 private:
  Task<void> RunVoteRound(core::VoteRound round);
  Task<void> RequestVote(Peer peer, RequestVoteArgs args, core::VoteTicket ticket);

  coro::Loop& loop_;
  core::Core& core_;
  Rpc& rpc_;
  StorageDriver& storage_;
  coro::Scope& scope_;
  NodeControl& control_;
  coro::Signal tick_moved_;  // the core's next tick is before `next_tick_`
  TimePoint next_tick_;      // what `Run` waits for
};

}  // namespace ringraft::node
