// A condition variable for coroutines: `while (!condition) { auto woken = signal.Wait(); co_await woken; }`
#pragma once

#include <coroutine>

#include "base/list.h"
#include "coro/loop.h"

namespace ringraft::coro {

// Notify wakes all waiters, and each tests its condition again. One loop, one thread. Cancelling a waiter takes it off
// the list, also if it has been notified and is ready.
class Signal {
 public:
  explicit Signal(coro::Loop& loop) : loop_(loop) {}
  ~Signal();  // Precondition: no waiter is left.
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  class Awaiter;
  Awaiter Wait();                     // until the next Notify
  Awaiter WaitUntil(TimePoint when);  // until the next Notify (co_await returns true) or `when` (false)
  void Notify();                      // makes all waiters ready, in the order of waiting

 private:
  coro::Loop& loop_;
  base::List<Awaiter> waiters_;
};

// Waits from the co_await on, not from its construction on: a Notify in between does not wake it.
class [[nodiscard]] Signal::Awaiter final : public base::ListHook {
 public:
  Awaiter(Signal& signal, TimePoint until) : signal_(signal), until_(until), timer_(*this) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller);
  bool await_resume() const noexcept { return is_notified_; }

 private:
  friend class Signal;
  struct Timer final : coro::TimerNode {
    explicit Timer(Awaiter& awaiter) : awaiter(awaiter) {}
    void OnTimer() override;
    Awaiter& awaiter;
  };

  Signal& signal_;
  TimePoint until_;  // TimePoint::max(): no deadline
  bool is_notified_ = false;
  coro::ReadyNode node_;
  Timer timer_;
};

inline Signal::Awaiter Signal::Wait() { return Awaiter(*this, TimePoint::max()); }
inline Signal::Awaiter Signal::WaitUntil(TimePoint when) { return Awaiter(*this, when); }

}  // namespace ringraft::coro
