#include "coro/signal.h"

#include "base/assert.h"

namespace ringraft::coro {

Signal::~Signal() { RINGRAFT_ASSERT(waiters_.empty()); }

void Signal::Notify() {
  // No coroutine runs within this loop, so every waiter in the list came before the call.
  while (Awaiter* waiter = waiters_.PopFront()) {
    waiter->is_notified_ = true;
    loop_.Cancel(waiter->timer_);
    loop_.MakeReady(waiter->node_);
  }
}

void Signal::Awaiter::await_suspend(std::coroutine_handle<> caller) {
  node_.handle = caller;
  signal_.waiters_.PushBack(*this);
  if (until_ != TimePoint::max()) signal_.loop_.Schedule(timer_, until_);
}

void Signal::Awaiter::Timer::OnTimer() {
  awaiter.Unlink();
  awaiter.signal_.loop_.MakeReady(awaiter.node_);
}

}  // namespace ringraft::coro
