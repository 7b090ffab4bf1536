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
#include "node/call_slot.h"
#include "ringraft/batch.h"
#include "ringraft/options.h"
#include "ringraft/state_machine.h"

namespace ringraft::node {

class Proposer {
 public:
  Proposer(core::Core& core, const Limits& limits, Node& node) : core_(core), limits_(limits), node_(node) {}

  // Room for a call of `bytes` in `count` commands? kBusy otherwise.
  Result<void> Check(size_t bytes) const;
  // The call's commands, encoded in the slot or given.
  void AddEncoded(CallSlot& slot);
  void Add(CallSlot& slot, std::span<const Command> commands);

  // Makes batches of what waits, while the window has room. True if something was proposed.
  bool Flush(int64_t append_time_ns);

  // The results of entries [first, first + count) of `term`, in order; resumes their callers.
  void Deliver(Index first, Term term, ApplyResults& results, size_t offset, size_t count);

  // Leadership is lost: what is in the log but not committed has an unknown outcome; what waits is certainly not in it.
  void OnLeadershipLost();
  void OnStop();

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
    uint32_t delivered = 0;  // results of the next waiter that it has already
  };
  // Batches in the log and not committed. More make smaller batches; fewer leave the disks idle between two.
  static constexpr size_t kWindow = 4;

  Waiting& OpenBatch(size_t more_bytes);
  void AddWaiter(Waiting& batch, CallSlot& slot);
  std::vector<Waiter> SpareWaiters();
  void Recycle(std::vector<Waiter> waiters);
  bool IsCertain(const InFlight& batch) const;  // it is committed, and will be applied
  void EndAll(std::vector<Waiter>& waiters, Errc code);
  size_t Uncommitted() const;

  core::Core& core_;
  const Limits& limits_;
  Node& node_;
  std::deque<Waiting> waiting_;  // the last one is open
  std::deque<InFlight> in_flight_;
  std::vector<std::vector<Waiter>> spare_;  // so that a batch allocates no list of waiters
  size_t waiting_bytes_ = 0;
};

}  // namespace ringraft::node
