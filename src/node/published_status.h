// The node's status as of the end of its last turn, for any thread.
#pragma once

#include <atomic>
#include <mutex>
#include <utility>

#include "ringraft/status.h"

namespace ringraft::node {

class PublishedStatus {
 public:
  // --- any thread ---
  bool is_leader() const { return is_leader_.load(std::memory_order_acquire); }
  RaftStatus Get() const {
    std::lock_guard lock(mutex_);
    return status_;
  }

  // --- reactor ---
  // Returns whether it was the leader before.
  bool SetLeader(bool is_leader) { return is_leader_.exchange(is_leader, std::memory_order_acq_rel); }
  template <class Function>
  void Update(Function&& change) {
    std::lock_guard lock(mutex_);
    std::forward<Function>(change)(status_);
  }
  // Without the mutex: only the reactor writes it.
  const RaftStatus& latest() const { return status_; }

 private:
  std::atomic<bool> is_leader_{false};
  mutable std::mutex mutex_;
  RaftStatus status_;
};

}  // namespace ringraft::node
