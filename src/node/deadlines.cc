#include "node/deadlines.h"

#include <algorithm>

namespace ringraft::node {

void Deadlines::Add(CallSlot& slot) {
  if (!is_scheduled()) last_tick_ = TickOf(loop_.Now());
  // Rounded up, so that no call ends before its deadline; one that is due already ends at the next tick.
  int64_t tick = std::max(TickOf(slot.deadline) + 1, last_tick_ + 1);
  buckets_[static_cast<size_t>(tick) % kBuckets].PushBack(slot);
  Schedule();
}

void Deadlines::Schedule() {
  if (!is_scheduled()) loop_.Schedule(*this, TimePoint(kTick * (last_tick_ + 1)));
}

void Deadlines::OnTimer() {
  int64_t now_tick = TickOf(loop_.Now());
  int64_t first = std::max(last_tick_ + 1, now_tick - static_cast<int64_t>(kBuckets) + 1);
  last_tick_ = now_tick;
  for (int64_t tick = first; tick <= now_tick; ++tick) {
    base::List<CallSlot> due;
    base::List<CallSlot>& bucket = buckets_[static_cast<size_t>(tick) % kBuckets];
    due.TakeAll(bucket);
    while (CallSlot* slot = due.PopFront()) {
      if (TickOf(slot->deadline) >= now_tick) {
        bucket.PushBack(*slot);  // of a later round
      } else {
        on_deadline_(*slot);
      }
    }
  }
  for (base::List<CallSlot>& bucket : buckets_) {
    if (bucket.empty()) continue;
    Schedule();
    return;
  }
}

}  // namespace ringraft::node
