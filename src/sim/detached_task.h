// Runs an awaitable of the library to its end for code that is not a coroutine; the body reports the result by a
// callback.
#pragma once

#include <coroutine>
#include <exception>

namespace ringraft::sim {

// Starts at once and frees itself at its end. Destroying `handle` while the task is suspended cancels it.
class DetachedTask {
 public:
  struct promise_type {
    DetachedTask get_return_object() noexcept {
      return DetachedTask(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<> handle;

 private:
  explicit DetachedTask(std::coroutine_handle<> handle) noexcept : handle(handle) {}
};

}  // namespace ringraft::sim
