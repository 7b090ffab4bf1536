// The deadlines of waiting calls: a hashed timing wheel, constant time to enter and to leave. Reactor only.
#pragma once

#include <array>
#include <functional>

#include "base/list.h"
#include "coro/loop.h"
#include "node/call_slot.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Deadlines final : private coro::TimerNode {
 public:
  // `on_deadline` ends the call.
  Deadlines(coro::Loop& loop, std::function<void(CallSlot&)> on_deadline)
      : loop_(loop), on_deadline_(std::move(on_deadline)) {}

  void Add(CallSlot& slot);  // leaves by itself when the call completes

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(4);
  static constexpr size_t kBuckets = 512;

  void OnTimer() override;
  void Schedule();
  static int64_t TickOf(TimePoint when) { return when.time_since_epoch() / kTick; }

  coro::Loop& loop_;
  const std::function<void(CallSlot&)> on_deadline_;
  std::array<base::List<CallSlot>, kBuckets> buckets_;
  int64_t last_tick_ = 0;  // Invariant: all buckets up to this tick have been examined
};

}  // namespace ringraft::node
