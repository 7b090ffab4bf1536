// One call that has been sent and has no reply yet. It lives in the coroutine that waits for it, and is linked into the
// list of its connection; the first of the two to be destroyed unlinks it. Cancelling the coroutine drops the reply.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <kj/async.h>

#include <coroutine>
#include <cstdint>
#include <optional>

#include "base/list.h"
#include "coro/loop.h"
#include "ringraft/errc.h"
#include "rpc/kj_error.h"

namespace ringraft::rpc {

class CallBase : public base::ListHook {
 public:
  CallBase(coro::Loop& loop, TimePoint deadline) : deadline(deadline), sent_at(loop.Now()), loop_(loop) {}
  virtual ~CallBase() noexcept {}

  // Ends it with an error instead of a reply. Precondition: not called from inside its own promise.
  void Fail(const Error& error) {
    if (is_done_) return;
    promise_ = nullptr;
    SetError(error);
    OnDone();
  }
  bool is_done() const { return is_done_; }

  // `auto done = call.Done(); co_await done;` resumes when the call has a reply or an error. Cancelling takes the
  // coroutine off the ready queue.
  class Awaiter {
   public:
    explicit Awaiter(CallBase& call) : call_(call) {}
    bool await_ready() const noexcept { return call_.is_done_; }
    void await_suspend(std::coroutine_handle<> caller) noexcept { call_.waiter_.handle = caller; }
    void await_resume() const noexcept {}

   private:
    CallBase& call_;
  };
  Awaiter Done() { return Awaiter(*this); }

  TimePoint deadline;  // moves on while the request is on its way over a slow link
  const TimePoint sent_at;
  uint64_t number = 0;                // among the calls of its connection
  uint64_t request_end = UINT64_MAX;  // where the request ends among the bytes of the connection, once it is written
  bool ends_in_silence = false;  // on a connection that brings nothing; other calls wait there for a late reply

 protected:
  virtual void SetError(const Error& error) = 0;
  void OnDone() {
    is_done_ = true;
    Unlink();
    if (waiter_.handle) loop_.MakeReady(waiter_);
  }

  coro::Loop& loop_;
  bool is_done_ = false;
  coro::ReadyNode waiter_;
  kj::Promise<void> promise_ = nullptr;  // its callbacks end the call
};

template <class T>
class Call final : public CallBase {
 public:
  using CallBase::CallBase;
  ~Call() noexcept override { promise_ = nullptr; }

  // `decode` turns the response into a Result<T> at once, so that no message is kept until the coroutine runs.
  template <class Promise, class Decode>
  void Start(Promise promise, Decode decode) {
    promise_ = promise
                   .then(
                       [this, decode](auto&& response) {
                         try {
                           result_.emplace(decode(response));
                         } catch (const kj::Exception&) {
                           result_.emplace(Error(Errc::kProtocol, "the peer's reply is malformed"));
                         }
                         OnDone();
                       },
                       [this](kj::Exception&& exception) {
                         result_.emplace(ToError(exception));
                         OnDone();
                       })
                   .eagerlyEvaluate(nullptr);
  }
  Result<T> Take() { return std::move(*result_); }

 private:
  void SetError(const Error& error) override { result_.emplace(error); }

  std::optional<Result<T>> result_;
};

}  // namespace ringraft::rpc
