// A caller of the library's awaitables for code that is no coroutine: runs one to its end and tells somebody.
#pragma once

#include <coroutine>
#include <exception>
#include <functional>
#include <utility>

namespace ringraft::sim {

// Starts at once and frees itself at the end; `handle` may be destroyed while it is suspended.
class Detached {
 public:
  struct promise_type {
    Detached get_return_object() noexcept { return Detached(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<> handle;

 private:
  explicit Detached(std::coroutine_handle<> handle) noexcept : handle(handle) {}
};

}  // namespace ringraft::sim
