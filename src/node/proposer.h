// From waiting calls to batches in the log, and from applied entries back to their callers. Reactor only; owned by the
// node.
//
//   Add -> open batch -> (turn end: Flush) Core::Propose -> in flight -> (applier: Deliver) -> the callers
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "core/core.h"
#include "node/call_ender.h"
#include "node/call_slot.h"
#include "node/node_control.h"
#include "ringraft/batch.h"
#include "ringraft/options.h"
#include "ringraft/state_machine.h"

namespace ringraft::node {

class Proposer {
 public:
  Proposer(core::Core& core, const Limits& limits, CallEnder& calls, NodeControl& control)
      : core_(core), limits_(limits), calls_(calls), control_(control) {}

  // Returns kBusy if there is no room for a call of `bytes`.
  Result<void> Check(size_t bytes) const;
  // The call's commands, encoded in the slot or given.
  void AddEncoded(CallSlot& slot);
  void Add(CallSlot& slot, std::span<const Command> commands);

  // Proposes the waiting batches while the window has room.
  void Flush(int64_t append_time_ns);

  // The results of entries [first, first + count) of `term`, in order; resumes their callers.
  void Deliver(Index first, Term term, ApplyResults& results, size_t offset, size_t count);

  // Calls in the log that are not certain to be committed end with kUnknown; calls that wait, certainly not in the log,
  // with kNotLeader or kStopped.
  void OnLeadershipLost();
  void OnStop();  // also those that are certain: they are not applied any more

  bool HasWaiting() const { return !waiting_.empty() && !waiting_.front().waiters.empty(); }
  size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  struct Waiter {
    CallSlot* slot;
    uint32_t generation;
    uint32_t count;  // commands
  };
  struct Waiting {
    BatchBuilder builder;
    std::vector<Waiter> waiters;
  };
  struct InFlight {
    Term term;
    Index first, last;
    std::vector<Waiter> waiters;
    size_t next_waiter = 0;
    uint32_t delivered = 0;  // results that the next waiter has already
  };
  // Batches in the log and not committed. More make smaller batches; fewer leave the disks idle between two.
  static constexpr size_t kWindow = 4;

  Waiting& OpenBatch(size_t more_bytes);
  void AddWaiter(Waiting& batch, CallSlot& slot);
  std::vector<Waiter> SpareWaiters();
  void Recycle(std::vector<Waiter> waiters);
  bool IsCertain(const InFlight& batch) const;  // it is committed, and will be applied
  void EndCalls(std::deque<InFlight> in_flight, Errc waiting_end);
  void EndAll(std::span<const Waiter> waiters, Errc code);
  size_t Uncommitted() const;

  core::Core& core_;
  const Limits& limits_;
  CallEnder& calls_;
  NodeControl& control_;
  std::deque<Waiting> waiting_;             // the last one is open
  std::deque<InFlight> in_flight_;          // ascending by index
  std::vector<std::vector<Waiter>> spare_;  // so that a batch allocates no list of waiters
  size_t waiting_bytes_ = 0;
};

}  // namespace ringraft::node
