// Gives committed entries to the state machine, in order, and its results to those who wait for them. Reactor only.
#pragma once

#include <vector>

#include "core/core.h"
#include "coro/signal.h"
#include "ringraft/batch.h"
#include "ringraft/state_machine.h"
#include "ringraft/task.h"

namespace ringraft::node {

class Node;

class Applier {
 public:
  // One of the two machines is given.
  Applier(Node& node, StateMachine* machine, AsyncStateMachine* async_machine);

  Task<void> Run();
  void Wake() { work_.Notify(); }

 private:
  Task<void> Apply(std::vector<BatchRef> batches);
  Task<void> ApplyEntries();
  void Deliver(size_t from, size_t count);

  Node& node_;
  StateMachine* const machine_;
  AsyncStateMachine* const async_machine_;
  const bool durable_only_;
  coro::Signal work_;
  std::vector<LogEntry> entries_;  // being applied; reused
  ApplyResults results_;
};

}  // namespace ringraft::node
