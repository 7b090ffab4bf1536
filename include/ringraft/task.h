// `Task<T>`: a lazy coroutine with one owner. It starts when it is awaited, on the awaiting thread. Destroying it, or
// the coroutine that awaits it, destroys its frame and with it what it awaits: that is how it is cancelled.
//
// A loop that awaits a million tasks which complete at once uses constant stack with every compiler and optimization
// level: starting a task is a plain nested resume, and if it ends while its parent is still inside `await_suspend`,
// that returns false and the parent continues. (g++ 12 does not turn symmetric transfer into a tail call below -O2 or
// under sanitizers.) Parent and child meet in one atomic exchange each, so a child may end on another thread.
#pragma once

#include <atomic>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

template <class T = void>
class Task;

namespace detail {

class TaskPromiseBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    [[gnu::noinline]] std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      std::coroutine_handle<> parent = self.promise().continuation_;
      if (self.promise().state_.exchange(kDone, std::memory_order_acq_rel) == kAwaited) return parent;
      return std::noop_coroutine();  // the parent sees kDone when our resume returns to it
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }

  // Runs the task as a child of `parent`. Returns true if the parent has to stay suspended.
  bool StartFor(std::coroutine_handle<> self, std::coroutine_handle<> parent) {
    continuation_ = parent;
    self.resume();
    return state_.exchange(kAwaited, std::memory_order_acq_rel) != kDone;
  }
  void RethrowIfFailed() {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  enum State : int { kRunning, kAwaited, kDone };
  std::coroutine_handle<> continuation_;
  std::exception_ptr exception_;
  std::atomic<int> state_{kRunning};
};

template <class T>
class TaskPromise : public TaskPromiseBase {
 public:
  Task<T> get_return_object() noexcept;
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T Take() {
    RethrowIfFailed();
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class TaskPromise<void> : public TaskPromiseBase {
 public:
  Task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void Take() { RethrowIfFailed(); }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  Task() noexcept = default;
  explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return handle_ != nullptr; }

  // A task is awaited once, by one coroutine. `await_resume` rethrows what the task has thrown.
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) { return handle_.promise().StartFor(handle_, parent); }
  T await_resume() { return handle_.promise().Take(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

template <class T>
Task<T> detail::TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> detail::TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

}  // namespace ringraft
