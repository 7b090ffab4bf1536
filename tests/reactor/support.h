// The common part of the reactor's tests: driving a host until a condition holds.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

#include "coro/loop.h"
#include "coro/scope.h"
#include "reactor/ring_host.h"
#include "ringraft/logger.h"

namespace ringraft::reactor {

inline std::unique_ptr<RingHost> MakeHost(unsigned entries = 64) {
  auto host = RingHost::Create(entries, SilentLogger());
  if (!host) FAIL(host.error().message());
  return std::move(host).value();
}

// Turns until the condition holds; the timeout is only for a test that hangs.
template <class Condition>
bool TurnUntil(Host& host, Condition condition) {
  const auto bound = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > bound) return false;
    host.Turn(std::chrono::milliseconds(100));
  }
  return true;
}

// Work waits here until the test releases it.
class Gate {
 public:
  void Open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
};

// A scope that starts and destroys its coroutines inside an Entered, as KJ requires.
class TurnScope {
 public:
  explicit TurnScope(coro::Loop& loop) : loop_(loop), scope_(std::make_unique<coro::Scope>(loop)) {}
  ~TurnScope() { Drop(); }
  void Start(Task<void> task) {
    coro::Loop::Entered entered(loop_);
    scope_->Start(std::move(task));
  }
  void Drop() {
    coro::Loop::Entered entered(loop_);
    scope_.reset();
  }
  bool is_empty() const { return scope_->size() == 0; }
  coro::Scope& scope() { return *scope_; }

 private:
  coro::Loop& loop_;
  std::unique_ptr<coro::Scope> scope_;
};

}  // namespace ringraft::reactor
