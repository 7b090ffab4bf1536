// Awaiting a KJ promise from a coroutine: `auto call = Await(loop, kj::mv(promise)); auto result = co_await call;`
// And the reverse: `ToKj(scope, task)` runs a coroutine for a caller that needs a KJ promise.
//
// The promise's callbacks only put the coroutine on the ready queue: resuming inside the callback would destroy the
// promise in its own callback, which KJ refuses. Cancelling: destroying the awaiter destroys the promise. Everything
// here belongs to one loop and happens in its turns.
#pragma once

#include <kj/async.h>
#include <kj/exception.h>

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "coro/loop.h"
#include "coro/scope.h"
#include "ringraft/task.h"

namespace ringraft::coro {

// The outcome of a KJ promise. `exception` is null on success.
template <class T>
struct KjOutcome {
  KjOutcome() noexcept {}
  KjOutcome(KjOutcome&& other) noexcept : value(kj::mv(other.value)), exception(kj::mv(other.exception)) {}
  KjOutcome& operator=(KjOutcome&& other) noexcept {
    value = kj::mv(other.value);
    exception = kj::mv(other.exception);
    return *this;
  }
  ~KjOutcome() noexcept {}

  kj::Maybe<T> value;  // absent if there is an exception
  kj::Maybe<kj::Exception> exception;
};

template <>
struct KjOutcome<void> {
  KjOutcome() noexcept {}
  KjOutcome(KjOutcome&& other) noexcept : exception(kj::mv(other.exception)) {}
  KjOutcome& operator=(KjOutcome&& other) noexcept {
    exception = kj::mv(other.exception);
    return *this;
  }
  ~KjOutcome() noexcept {}

  kj::Maybe<kj::Exception> exception;
};

// The promise runs from the construction of the awaiter on. Await it once; the outcome has the value or the exception.
// Cancelling, before or after the promise has ended, destroys the promise, and no callback runs.
template <class T>
class [[nodiscard]] KjAwaiter {
 public:
  KjAwaiter(coro::Loop& loop, kj::Promise<T> promise)
      : loop_(loop), promise_(Observe(kj::mv(promise)).eagerlyEvaluate(nullptr)) {}
  KjAwaiter(const KjAwaiter&) = delete;
  KjAwaiter& operator=(const KjAwaiter&) = delete;
  ~KjAwaiter() noexcept {}

  bool await_ready() const noexcept { return is_done_; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { node_.handle = caller; }
  KjOutcome<T> await_resume() noexcept { return kj::mv(outcome_); }

 private:
  kj::Promise<void> Observe(kj::Promise<T> promise) {
    auto on_error = [this](kj::Exception&& exception) {
      outcome_.exception = kj::mv(exception);
      OnDone();
    };
    if constexpr (std::is_void_v<T>) {
      return promise.then([this]() { OnDone(); }, kj::mv(on_error));
    } else {
      return promise.then(
          [this](T&& value) {
            outcome_.value = kj::mv(value);
            OnDone();
          },
          kj::mv(on_error));
    }
  }
  void OnDone() {
    is_done_ = true;
    if (node_.handle) loop_.MakeReady(node_);
  }

  coro::Loop& loop_;
  bool is_done_ = false;
  coro::ReadyNode node_;
  KjOutcome<T> outcome_;
  kj::Promise<void> promise_;  // last, so that it is destroyed before the members that its callbacks use
};

template <class T>
KjAwaiter<T> Await(coro::Loop& loop, kj::Promise<T> promise) {
  return KjAwaiter<T>(loop, kj::mv(promise));
}

namespace detail {

// The fulfiller with a destructor that does not throw. Destroying an unused one rejects the promise.
template <class T>
class Fulfiller {
 public:
  explicit Fulfiller(kj::Own<kj::PromiseFulfiller<T>> fulfiller) noexcept : fulfiller_(kj::mv(fulfiller)) {}
  Fulfiller(Fulfiller&&) noexcept = default;
  ~Fulfiller() noexcept {}
  kj::PromiseFulfiller<T>* operator->() { return fulfiller_.get(); }

 private:
  kj::Own<kj::PromiseFulfiller<T>> fulfiller_;
};

template <class T>
Task<void> RunAndFulfill(Task<T> task, Fulfiller<T> fulfiller) {
  std::optional<kj::Exception> failure;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await task;
      fulfiller->fulfill();
    } else {
      T value = co_await task;
      fulfiller->fulfill(kj::mv(value));
    }
  } catch (kj::Exception& exception) {
    failure.emplace(kj::mv(exception));
  } catch (const std::exception& exception) {
    failure.emplace(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(exception.what()));
  }
  if (failure) fulfiller->reject(kj::mv(*failure));
}

}  // namespace detail

// Starts the task in `scope` at once. The returned promise is fulfilled with the task's result, or rejected with the
// exception that it throws. The scope alone owns the task. Cancelling: dropping the promise does not cancel the task,
// since the drop may come from inside that very coroutine, and its work may have to be completed; cancelling the scope
// destroys the task and rejects the promise.
template <class T>
kj::Promise<T> ToKj(Scope& scope, Task<T> task) {
  auto paf = kj::newPromiseAndFulfiller<T>();
  scope.Start(detail::RunAndFulfill<T>(std::move(task), detail::Fulfiller<T>(kj::mv(paf.fulfiller))));
  return kj::mv(paf.promise);
}

}  // namespace ringraft::coro
