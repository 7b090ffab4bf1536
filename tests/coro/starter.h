// Starts a task by hand, without a loop.
#pragma once

#include <coroutine>
#include <exception>

#include "ringraft/task.h"

namespace ringraft {

struct Starter {
  struct promise_type {
    Starter get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
static Starter Run(Task<void> task, bool& is_done) {
  co_await task;
  is_done = true;
}

}  // namespace ringraft
