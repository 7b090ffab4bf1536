// Waiting for a state: `while (!condition) { auto woken = signal.Wait(); co_await woken; }`
#pragma once

#include <coroutine>

#include "base/list.h"
#include "coro/loop.h"

namespace ringraft::coro {

// Wakes all that wait; each tests its condition again. One reactor thread. A waiter unlinks itself when it dies.
class Signal {
 public:
  explicit Signal(coro::Loop& loop) : loop_(loop) {}
  ~Signal();  // nobody may be waiting
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  class Awaiter;
  Awaiter Wait();                     // until the next Notify
  Awaiter WaitUntil(TimePoint when);  // or the time; await_resume: true if notified
  void Notify();                      // everyone who waits becomes ready, in the order of waiting

 private:
  coro::Loop& loop_;
  base::List<Awaiter> waiters_;
};

// Waits from the moment it is awaited, not from the moment it is made.
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
  TimePoint until_;  // TimePoint::max(): no limit
  bool is_notified_ = false;
  coro::ReadyNode node_;
  Timer timer_;
};

inline Signal::Awaiter Signal::Wait() { return Awaiter(*this, TimePoint::max()); }
inline Signal::Awaiter Signal::WaitUntil(TimePoint when) { return Awaiter(*this, when); }

}  // namespace ringraft::coro
