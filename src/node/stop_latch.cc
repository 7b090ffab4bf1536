#include "node/stop_latch.h"

namespace ringraft::node {

bool StopLatch::is_open() const {
  std::lock_guard lock(mutex_);
  return is_open_;
}

Error StopLatch::reason() const {
  std::lock_guard lock(mutex_);
  return reason_;
}

bool StopLatch::Add(CallSlot& slot, uint32_t generation) {
  std::lock_guard lock(mutex_);
  if (is_open_) return false;
  calls_.emplace_back(&slot, generation);
  return true;
}

void StopLatch::WaitFor(Duration duration) {
  std::unique_lock lock(mutex_);
  if (!is_open_) opened_.wait_for(lock, duration);
}

void StopLatch::Open(const Error& reason) {
  const Error why = reason;  // `reason` may be gone with the node
  std::vector<std::pair<CallSlot*, uint32_t>> calls;
  {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    reason_ = why;
    calls.swap(calls_);
    opened_.notify_all();
  }
  for (auto& [slot, generation] : calls) {
    slot->error = why;
    slot->Complete(generation);
  }
}

}  // namespace ringraft::node
