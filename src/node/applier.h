// Gives committed entries to the state machine, in order, and its results to the calls that wait for them. Reactor
// only; owned by the node.
#pragma once

#include <vector>

#include "core/core.h"
#include "coro/loop.h"
#include "coro/signal.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/proposer.h"
#include "node/storage_driver.h"
#include "ringraft/batch.h"
#include "ringraft/options.h"
#include "ringraft/state_machine.h"
#include "ringraft/task.h"

namespace ringraft::node {

class Applier {
 public:
  struct Parts {
    StateMachine* machine;  // one of the two machines is given
    AsyncStateMachine* async_machine;
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    StorageDriver& storage;
    Proposer& proposer;
    NodeControl& control;
    const NodeLogger& log;
  };
  explicit Applier(const Parts& parts);

  // Never completes.
  Task<void> Run();
  void Wake() { work_.Notify(); }

 private:
  Task<void> Apply(std::vector<BatchRef> batches);
  Task<void> ApplyEntries();
  void Deliver(size_t from, size_t count);

  StateMachine* const machine_;
  AsyncStateMachine* const async_machine_;
  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  StorageDriver& storage_;
  Proposer& proposer_;
  NodeControl& control_;
  const NodeLogger& log_;
  const bool durable_only_;
  coro::Signal work_;
  std::vector<LogEntry> entries_;  // being applied; reused
  ApplyResults results_;
};

}  // namespace ringraft::node
