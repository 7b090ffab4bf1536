// `co_await AsAsio(raft.Handle(...))` inside an `asio::awaitable`: Boost.Asio, or standalone Asio if
// RINGRAFT_STANDALONE_ASIO is defined. Not included by any other header: only its users need Asio.
//
// `asio::awaitable` accepts no foreign awaiters. So a small coroutine, the driver, owns the call and awaits it; then it
// posts the handler that resumes the caller on the caller's own executor. Three threads may meet here:
//  1. the awaiting thread starts the driver,
//  2. the reactor's thread resumes the driver when the call has ended,
//  3. the thread that destroys the io_context (or thread pool) destroys every caller that still waits there.
// One lock separates 2 and 3; it is held for a few instructions and never while user code runs. Destroying a caller
// destroys the driver and the call (raft.h, `Call`, says what that means for the operation).
#pragma once

// Before Asio: some of its versions do not include <utility>.
#include <atomic>
#include <concepts>
#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#ifdef RINGRAFT_STANDALONE_ASIO
#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/execution.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/query.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#ifndef ASIO_HAS_CO_AWAIT
#error "ringraft/asio.h: this Asio has its coroutines switched off (ASIO_HAS_CO_AWAIT); compile with -std=c++20."
#endif
#else
// Boost before 1.76 looks for <experimental/coroutine> when the compiler is clang.
#if defined(__clang__) && defined(__cpp_impl_coroutine) && !defined(BOOST_ASIO_DETAIL_CONFIG_HPP) && \
    !defined(BOOST_ASIO_HAS_CO_AWAIT) && !defined(BOOST_ASIO_HAS_STD_COROUTINE)
#define BOOST_ASIO_HAS_CO_AWAIT 1
#define BOOST_ASIO_HAS_STD_COROUTINE 1
#endif
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#ifndef BOOST_ASIO_HAS_CO_AWAIT
#error "ringraft/asio.h: this Asio has its coroutines switched off; include ringraft/asio.h before any header of Asio."
#endif
#endif

#include "ringraft/executor.h"
#include "ringraft/raft.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {
namespace asio_adapter {

#ifdef RINGRAFT_STANDALONE_ASIO
namespace asio = ::asio;
#else
namespace asio = ::boost::asio;
#endif

// Runs resumptions at once, on the reactor's thread, under the lock. One per process, never destroyed: a reactor may be
// entering it with the resumption of a caller that has just been destroyed.
class Gate final : public Executor {
 public:
  static Gate& Get() {
    static Gate& gate = *new Gate;
    return gate;
  }
  void Post(Resumption resumption) noexcept override {
    std::lock_guard lock(mutex);
    resumption();  // does nothing if the driver is gone
  }

  std::mutex mutex;
};

// One awaited call. It lives in the frame of `AsAsio`, which is owned by the handler that it holds; moving the handler
// out breaks the cycle.
class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // At most one of the two is called, once, under the lock.
  virtual void Complete() = 0;  // the call has ended: posts the handler
  virtual void Abandon() = 0;   // the caller is about to be destroyed: destroys the call

  // Destroys the caller, and with it this. Called after `Abandon`, without the lock.
  virtual void DestroyCaller() = 0;

  // Called at the start and at the end of the driver. Returns true to the second caller, which then completes.
  bool Meet() { return has_met_.exchange(true, std::memory_order_acq_rel); }

 protected:
  ~Operation() = default;

 private:
  friend class PendingCalls;
  Operation* next_ = nullptr;
  Operation* previous_ = nullptr;
  bool is_linked_ = false;
  std::atomic<bool> has_met_{false};
};

// The pending calls of one execution context, which destroys the waiting callers when it is destroyed. Under the lock.
class PendingCalls final : public asio::execution_context::service {
 public:
  using key_type = PendingCalls;
  static inline asio::execution_context::id id;

  explicit PendingCalls(asio::execution_context& context) : asio::execution_context::service(context) {}

  void Link(Operation& operation) {
    operation.next_ = first_;
    if (first_ != nullptr) first_->previous_ = &operation;
    first_ = &operation;
    operation.is_linked_ = true;
  }
  void Unlink(Operation& operation) {
    if (!std::exchange(operation.is_linked_, false)) return;
    (operation.previous_ != nullptr ? operation.previous_->next_ : first_) = operation.next_;
    if (operation.next_ != nullptr) operation.next_->previous_ = operation.previous_;
  }

 private:
  void shutdown() noexcept override {
    while (Operation* operation = AbandonFirst()) operation->DestroyCaller();
  }
  Operation* AbandonFirst() {
    std::lock_guard lock(Gate::Get().mutex);
    Operation* operation = first_;
    if (operation != nullptr) operation->Abandon();
    return operation;
  }

  Operation* first_ = nullptr;
};

// The coroutine that owns the call and awaits it.
class Driver {
 public:
  struct promise_type {
    Driver get_return_object() noexcept { return Driver(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Last {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        Operation* finished = self.promise().operation;
        if (finished->Meet()) finished->Complete();  // on the reactor's thread, so under the lock
      }
      void await_resume() noexcept {}
    };
    Last final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }  // out of memory

    Operation* operation = nullptr;
  };

  Driver(Driver&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Driver& operator=(Driver&&) = delete;
  ~Driver() { Destroy(); }

  void Start(Operation& operation) {
    handle_.promise().operation = &operation;
    handle_.resume();
  }
  void Destroy() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

 private:
  explicit Driver(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

template <class C>
using ResultOf = decltype(std::declval<C&>().await_resume());

template <class C>
Driver Drive(C call, std::optional<ResultOf<C>>& result) {
  ResultOf<C> outcome = co_await call;
  result.emplace(std::move(outcome));
}

template <class C, class AsioExecutor>
class OperationOf final : public Operation {
 public:
  using Handler = typename asio::async_result<asio::use_awaitable_t<AsioExecutor>, void()>::handler_type;

  OperationOf(C call, const AsioExecutor& executor)
      : executor_(executor),
        pending_(asio::use_service<PendingCalls>(asio::query(executor, asio::execution::context))),
        driver_(Drive(std::move(call), result_)) {}
  ~OperationOf() {
    std::lock_guard lock(Gate::Get().mutex);  // waits for a reactor that is still leaving the driver
    pending_.Unlink(*this);
    driver_.Destroy();
  }

  void Start(Handler handler) {
    {
      std::lock_guard lock(Gate::Get().mutex);
      handler_.emplace(std::move(handler));
      work_.emplace(executor_);
      pending_.Link(*this);
    }
    driver_.Start(*this);
    if (!Meet()) return;  // pending; *this may be destroyed already
    std::lock_guard lock(Gate::Get().mutex);
    Complete();
  }
  ResultOf<C> TakeResult() { return std::move(*result_); }

 private:
  void Complete() override {
    pending_.Unlink(*this);
    Handler handler = TakeHandler();
    asio::executor_work_guard<AsioExecutor> work = std::move(*work_);
    asio::post(std::move(handler));  // another thread may resume the caller, which then waits for the lock
  }
  void Abandon() override {
    pending_.Unlink(*this);
    driver_.Destroy();
  }
  void DestroyCaller() override {
    work_.reset();
    Handler handler = TakeHandler();
  }
  Handler TakeHandler() {
    Handler handler = std::move(*handler_);
    handler_.reset();
    return handler;
  }

  AsioExecutor executor_;
  PendingCalls& pending_;
  std::optional<Handler> handler_;
  std::optional<asio::executor_work_guard<AsioExecutor>> work_;
  std::optional<ResultOf<C>> result_;
  Driver driver_;
};

// Asio's initiation of an operation: called once the awaiting coroutine is suspended.
template <class C, class AsioExecutor>
struct Starter {
  explicit Starter(OperationOf<C, AsioExecutor>& started) : operation(&started) {}
  template <class Handler>
  void operator()(Handler handler) const {
    operation->Start(std::move(handler));
  }
  OperationOf<C, AsioExecutor>* operation;
};

// Any of the calls of raft.h.
template <class C>
concept AnyCall = std::move_constructible<C> && requires(C& call, Executor& executor) {
  call.ResumeOn(executor);
  call.await_resume();
};

}  // namespace asio_adapter

// Awaits the call. The caller is resumed on its own executor, whatever `HandleOptions::On` says, with the call's
// result. The bytes of the commands must live until the caller is suspended, as with `Handle`. Keeps the
// io_context running while it waits. Destroying the io_context destroys waiting callers, which cancels their calls
// (raft.h, `Call`).
template <class AsioExecutor = asio_adapter::asio::any_io_executor, asio_adapter::AnyCall C>
asio_adapter::asio::awaitable<asio_adapter::ResultOf<C>, AsioExecutor> AsAsio(C call) {
  AsioExecutor executor = co_await asio_adapter::asio::this_coro::executor;
  call.ResumeOn(asio_adapter::Gate::Get());
  asio_adapter::OperationOf<C, AsioExecutor> operation(std::move(call), executor);
  asio_adapter::Starter<C, AsioExecutor> starter(operation);
  using Token = asio_adapter::asio::use_awaitable_t<AsioExecutor>;
  Token token;
  auto ended = asio_adapter::asio::async_initiate<Token, void()>(starter, token);
  co_await std::move(ended);
  co_return operation.TakeResult();
}

}  // namespace ringraft
