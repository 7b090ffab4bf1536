// The executor of coroutines: a ready queue, timers, turn-end hooks, and KJ's event loop as a guest. It makes no system
// call: time comes from a TimeSource, and the reactor and the simulator both drive it. One thread at a time; between
// turns it belongs to no thread, so one thread may drive several loops alternately, and a loop may move to another
// thread.
//
// Deterministic: ready coroutines run first in, first out; timers by time, then by the order of scheduling.
#pragma once

#include <kj/async.h>

#include <chrono>
#include <coroutine>
#include <optional>
#include <utility>
#include <vector>

#include "base/list.h"
#include "ringraft/types.h"

namespace ringraft::coro {

// The clocks of a loop.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual TimePoint Now() const = 0;
  virtual std::chrono::system_clock::time_point WallNow() const = 0;
};

// A coroutine's place in the ready queue. It lives in an awaiter; its destructor takes it off the queue, so a coroutine
// that is already ready may be cancelled.
class ReadyNode : public base::ListHook {
 public:
  std::coroutine_handle<> handle;
};

// A timer. `OnTimer` runs once, in a turn; the destructor cancels.
class TimerNode {
 public:
  virtual void OnTimer() = 0;
  bool is_scheduled() const { return loop_ != nullptr; }

 protected:
  TimerNode() = default;
  virtual ~TimerNode();
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

 private:
  friend class Loop;
  class Loop* loop_ = nullptr;
  TimePoint when_;
  uint64_t sequence_ = 0;  // timers of the same time run in the order of scheduling
  size_t heap_position_ = 0;
};

// `OnTurnEnd` runs once, when nothing else of the turn is left to run: the place to process as one batch what the turn
// has gathered. The destructor cancels.
class TurnEndNode : public base::ListHook {
 public:
  virtual void OnTurnEnd() = 0;

 protected:
  virtual ~TurnEndNode() = default;
};

// Chooses the order of ready coroutines; without one it is first in, first out. No code may depend on the order of two
// coroutines that are ready at once, nor on when a ready one runs: the simulator tests this with random orders.
class ReadyOrder {
 public:
  // Returns the position of the next one to run, 0 .. ready - 1.
  virtual size_t Choose(size_t ready) = 0;
  // Returns true if that one waits for a later turn instead.
  virtual bool Postpone() = 0;

 protected:
  ~ReadyOrder() = default;
};

class Loop {
 public:
  explicit Loop(const TimeSource& time);
  // Precondition: no KJ object of this loop is left, except what its detached promises own.
  ~Loop() noexcept;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // The loop that this thread runs a turn of; null outside of turns.
  static Loop* Current();

  // Steady time, read once in each pass of a turn.
  TimePoint Now() const { return now_; }
  std::chrono::system_clock::time_point WallNow() const { return time_.WallNow(); }

  void MakeReady(ReadyNode& node) {  // no effect if it is already ready
    if (!node.is_linked()) ready_.PushBack(node);
  }
  void SetReadyOrder(ReadyOrder* order) { order_ = order; }
  void Schedule(TimerNode& timer, TimePoint when);  // moves it if it is already scheduled
  void Cancel(TimerNode& timer);
  void AtTurnEnd(TurnEndNode& node) {  // no effect if it is already queued
    if (!node.is_linked()) turn_end_.PushBack(node);
  }

  // `co_await loop.SleepUntil(t)` resumes at `t` or, if that is past, in the next pass. Cancelling cancels the timer.
  class SleepAwaiter;
  SleepAwaiter SleepUntil(TimePoint when);
  // `co_await loop.Yield()` resumes after everything that is ready now. Cancelling takes it off the ready queue.
  class YieldAwaiter;
  YieldAwaiter Yield();

  // Makes this loop and its KJ loop the thread's current ones. KJ objects may be created, used and destroyed only while
  // an Entered lives: every turn has one, and code that destroys KJ objects between turns makes its own. Nests for the
  // same loop.
  class Entered {
   public:
    explicit Entered(Loop& loop);
    ~Entered() noexcept;
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    friend class Loop;
    std::optional<kj::WaitScope> scope_;  // none if this loop had already been entered
  };

  // One turn: enters the KJ loop, calls `poll` (which may make coroutines ready), then runs passes over ready
  // coroutines, KJ events and due timers, until nothing is left or after `max_passes`. Turn-end hooks run whenever
  // nothing else is left, and at the end in any case, so that a busy loop does not starve them.
  template <class Poll>
  void Turn(Poll&& poll, int max_passes = 64) {
    Entered entered(*this);
    now_ = time_.Now();
    std::forward<Poll>(poll)();
    RunPasses(max_passes);
  }
  // Returns true if another turn has work at once. Reads the time source to see whether a timer is due.
  bool HasWork() const;
  std::optional<TimePoint> NextTimer() const;

 private:
  // KJ reports through it that it has events to run. KJ must never wait on it: only `Turn` runs events.
  class Port final : public kj::EventPort {
   public:
    bool wait() override;
    bool poll() override { return false; }
    void setRunnable(bool runnable) override { is_runnable = runnable; }
    bool is_runnable = false;
  };

  void RunPasses(int max_passes);
  bool RunReady();
  bool RunReadyInOrder();
  bool RunKj();
  bool RunTimers();
  void RunTurnEnd();

  static bool Before(const TimerNode& a, const TimerNode& b) {
    return a.when_ != b.when_ ? a.when_ < b.when_ : a.sequence_ < b.sequence_;
  }
  void Place(TimerNode& timer, size_t position) {
    timers_[position] = &timer;
    timer.heap_position_ = position;
  }
  void SiftUp(size_t position);
  void SiftDown(size_t position);

  const TimeSource& time_;
  TimePoint now_;
  ReadyOrder* order_ = nullptr;
  base::List<ReadyNode> ready_;
  base::List<ReadyNode> postponed_;  // until the next turn, by `order_`
  base::List<TurnEndNode> turn_end_;
  std::vector<TimerNode*> timers_;  // Invariant: a binary heap; timers_[t->heap_position_] == t
  uint64_t next_sequence_ = 0;
  Port port_;
  kj::EventLoop kj_loop_;
};

class [[nodiscard]] Loop::SleepAwaiter final : private TimerNode {
 public:
  SleepAwaiter(Loop& loop, TimePoint when) : sleeper_loop_(loop), wake_at_(when) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    sleeper_loop_.Schedule(*this, wake_at_);
  }
  void await_resume() const noexcept {}

 private:
  void OnTimer() override { sleeper_loop_.MakeReady(node_); }

  Loop& sleeper_loop_;
  TimePoint wake_at_;
  ReadyNode node_;
};

class [[nodiscard]] Loop::YieldAwaiter final {
 public:
  explicit YieldAwaiter(Loop& loop) : loop_(loop) {}

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    loop_.MakeReady(node_);
  }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
  ReadyNode node_;
};

inline Loop::SleepAwaiter Loop::SleepUntil(TimePoint when) { return SleepAwaiter(*this, when); }
inline Loop::YieldAwaiter Loop::Yield() { return YieldAwaiter(*this); }

}  // namespace ringraft::coro
