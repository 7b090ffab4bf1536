// The deadlines of waiting calls: a hashed timing wheel, constant time to enter and to leave. Reactor only.
#pragma once

#include <array>

#include "base/list.h"
#include "node/call_slot.h"
#include "coro/loop.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Deadlines final : private coro::TimerNode {
 public:
  Deadlines(coro::Loop& loop, Node& node) : loop_(loop), node_(node) {}

  void Add(CallSlot& slot);  // leaves by itself when the call completes
  void Clear();

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(4);
  static constexpr size_t kBuckets = 512;

  void OnTimer() override;
  void Schedule();
  static int64_t TickOf(TimePoint when) { return when.time_since_epoch() / kTick; }

  coro::Loop& loop_;
  Node& node_;
  std::array<base::List<CallSlot>, kBuckets> buckets_;
  int64_t last_tick_ = 0;  // all buckets up to this tick have been looked at
};

}  // namespace ringraft::node
