#include "coro/scope.h"

#include <cstdio>
#include <exception>
#include <utility>

#include "base/assert.h"

namespace ringraft::coro {

// No handle to this coroutine is needed: it starts at once and destroys its own frame when it ends. The promise's
// destructor is therefore the one place where a task leaves the scope, whether it has ended or is cancelled.
struct Scope::RunnerPromise : base::ListHook {
  RunnerPromise(Scope& owner, Task<void>&) : scope(owner) {
    scope.running_.PushBack(*this);
    ++scope.size_;
  }
  ~RunnerPromise() {
    Unlink();
    if (--scope.size_ == 0) scope.emptied_.Notify();
  }

  Scope::Runner get_return_object() noexcept;
  std::suspend_never initial_suspend() noexcept { return {}; }
  std::suspend_never final_suspend() noexcept { return {}; }
  void return_void() noexcept {}
  [[noreturn]] void unhandled_exception() noexcept {
    try {
      throw;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "ringraft: an exception left a coroutine: %s\n", error.what());
    } catch (...) {
      std::fprintf(stderr, "ringraft: an exception of an unknown type left a coroutine\n");
    }
    std::terminate();
  }

  Scope& scope;
};

struct Scope::Runner {
  using promise_type = RunnerPromise;
};

Scope::Runner Scope::RunnerPromise::get_return_object() noexcept { return Runner(); }

Scope::Runner Scope::Run(Scope&, Task<void> task) { co_await task; }

Scope::Scope(coro::Loop& loop) : emptied_(loop) {}

Scope::~Scope() { Cancel(); }

void Scope::Start(Task<void> task) {
  RINGRAFT_ASSERT(task);
  Run(*this, std::move(task));
}

Task<void> Scope::Join() {
  while (size_ > 0) {
    auto woken = emptied_.Wait();
    co_await woken;
  }
}

void Scope::Cancel() {
  while (RunnerPromise* promise = running_.front()) {
    std::coroutine_handle<RunnerPromise>::from_promise(*promise).destroy();
  }
}

}  // namespace ringraft::coro
