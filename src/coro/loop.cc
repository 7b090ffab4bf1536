#include "coro/loop.h"

#include "base/assert.h"

namespace ringraft::coro {
namespace {
thread_local Loop* current_loop = nullptr;
// KJ events in one pass. The bound lets ready coroutines run even if KJ never runs out of events.
constexpr unsigned kKjEventsPerPass = 256;
}  // namespace

TimerNode::~TimerNode() {
  if (loop_ != nullptr) loop_->Cancel(*this);
}

bool Loop::Port::wait() {
  // kj::Promise::wait() was called inside a turn: it would block the loop forever.
  RINGRAFT_ASSERT(!"kj::Promise::wait() inside a turn of the reactor");
  return false;
}

Loop::Loop(const TimeSource& time) : time_(time), now_(time.Now()), kj_loop_(port_) {}

Loop::~Loop() noexcept {
  {
    Entered entered(*this);
    if (entered.scope_) entered.scope_->cancelAllDetached();
    kj_loop_.run();  // what cancelling has queued
  }
  for (TimerNode* timer : timers_) timer->loop_ = nullptr;
}

Loop* Loop::Current() { return current_loop; }

Loop::Entered::Entered(Loop& loop) {
  if (current_loop == &loop) return;
  RINGRAFT_ASSERT(current_loop == nullptr);  // a turn of one loop inside a turn of another
  scope_.emplace(loop.kj_loop_);
  current_loop = &loop;
}

Loop::Entered::~Entered() noexcept {
  if (scope_) current_loop = nullptr;
}

void Loop::RunPasses(int max_passes) {
  ready_.TakeAll(postponed_);
  for (int pass = 0; pass < max_passes; ++pass) {
    if (pass > 0) now_ = time_.Now();
    bool worked = RunReady();
    worked |= RunKj();
    worked |= RunTimers();
    if (worked) continue;
    if (turn_end_.empty()) return;
    RunTurnEnd();
  }
  RunTurnEnd();
}

// Runs only what is ready now: what becomes ready meanwhile runs in the next pass.
bool Loop::RunReady() {
  if (ready_.empty()) return false;
  if (order_ != nullptr) return RunReadyInOrder();
  base::List<ReadyNode> batch;
  batch.TakeAll(ready_);
  // A coroutine may destroy others of the batch: they unlink themselves from it.
  while (ReadyNode* node = batch.PopFront()) {
    std::coroutine_handle<> handle = node->handle;  // the node may die in the resume
    handle.resume();
  }
  return true;
}

bool Loop::RunReadyInOrder() {
  base::List<ReadyNode> batch;
  batch.TakeAll(ready_);
  bool worked = false;
  while (!batch.empty()) {
    const size_t count = batch.CountSlowly();
    ReadyNode* node = batch.front();
    for (size_t skip = count > 1 ? order_->Choose(count) : 0; skip > 0; --skip) node = batch.Next(*node);
    if (order_->Postpone()) {
      postponed_.PushBack(*node);
      continue;
    }
    node->Unlink();
    std::coroutine_handle<> handle = node->handle;
    handle.resume();
    worked = true;
  }
  return worked;
}

bool Loop::RunKj() {
  if (!port_.is_runnable) return false;
  kj_loop_.run(kKjEventsPerPass);
  return true;
}

bool Loop::RunTimers() {
  // A timer that is scheduled by a timer waits for the next pass, even if it is due: otherwise two timers that schedule
  // each other would keep this loop here forever.
  const uint64_t sequence_limit = next_sequence_;
  bool worked = false;
  while (!timers_.empty()) {
    TimerNode& timer = *timers_.front();
    if (timer.when_ > now_) break;
    worked = true;
    if (timer.sequence_ >= sequence_limit) break;
    Cancel(timer);
    timer.OnTimer();
  }
  return worked;
}

void Loop::RunTurnEnd() {
  base::List<TurnEndNode> batch;
  batch.TakeAll(turn_end_);
  while (TurnEndNode* node = batch.PopFront()) node->OnTurnEnd();
}

bool Loop::HasWork() const {
  if (!ready_.empty() || !postponed_.empty() || !turn_end_.empty() || port_.is_runnable) return true;
  return !timers_.empty() && timers_.front()->when_ <= time_.Now();
}

std::optional<TimePoint> Loop::NextTimer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.front()->when_;
}

void Loop::Schedule(TimerNode& timer, TimePoint when) {
  if (timer.loop_ != nullptr) timer.loop_->Cancel(timer);
  timer.loop_ = this;
  timer.when_ = when;
  timer.sequence_ = next_sequence_++;
  timers_.push_back(&timer);
  Place(timer, timers_.size() - 1);
  SiftUp(timers_.size() - 1);
}

void Loop::Cancel(TimerNode& timer) {
  if (timer.loop_ == nullptr) return;
  RINGRAFT_ASSERT(timer.loop_ == this);
  timer.loop_ = nullptr;
  const size_t position = timer.heap_position_;
  TimerNode* last = timers_.back();
  timers_.pop_back();
  if (last == &timer) return;
  Place(*last, position);
  SiftUp(position);
  SiftDown(last->heap_position_);
}

void Loop::SiftUp(size_t position) {
  TimerNode& timer = *timers_[position];
  while (position > 0) {
    const size_t parent = (position - 1) / 2;
    if (!Before(timer, *timers_[parent])) break;
    Place(*timers_[parent], position);
    position = parent;
  }
  Place(timer, position);
}

void Loop::SiftDown(size_t position) {
  TimerNode& timer = *timers_[position];
  while (true) {
    size_t child = 2 * position + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && Before(*timers_[child + 1], *timers_[child])) ++child;
    if (!Before(*timers_[child], timer)) break;
    Place(*timers_[child], position);
    position = child;
  }
  Place(timer, position);
}

}  // namespace ringraft::coro
