// Opens once, when the node has stopped. The destructor of Raft blocks on it, and `Raft::Done` calls end with it. Any
// thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "node/call_slot.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::node {

class StopLatch {
 public:
  bool is_open() const;
  // Why the node stopped by itself; kOk after `Stop`. Once it is open.
  Error reason() const;

  // The call ends when the latch opens. False if it is open already.
  bool Add(CallSlot& slot, uint32_t generation);
  // Returns when it is open, or after `duration`.
  void WaitFor(Duration duration);

  // Ends all calls. What owns the latch may be destroyed as soon as the latch is open: by another thread, or by the
  // first of those calls.
  void Open(const Error& reason);

 private:
  mutable std::mutex mutex_;  // of all below
  std::condition_variable opened_;
  bool is_open_ = false;
  Error reason_;
  std::vector<std::pair<CallSlot*, uint32_t>> calls_;
};

}  // namespace ringraft::node
