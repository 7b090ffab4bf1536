// A call from outside has two halves that end independently: the KJ promise that Cap'n Proto waits for, and the
// coroutine of the service. `Answer` belongs to the coroutine, `Waiting` to the promise; each knows whether the other
// is still there. Thus a coroutine never touches what belongs to a connection that has gone, and a coroutine that is
// cancelled leaves no promise.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/common.h>
#include <kj/async.h>

#include <utility>

namespace ringraft::rpc {

template <class Context>
class Waiting;

template <class Context>
class Answer {
 public:
  Answer() noexcept = default;
  Answer(Answer&& other) noexcept : waiting_(std::exchange(other.waiting_, nullptr)) {
    if (waiting_ != nullptr) waiting_->answer_ = this;
  }
  ~Answer() {
    if (waiting_ != nullptr) waiting_->Abandon();
  }

  // `fill(context)` writes the results, unless nobody waits for them any more.
  template <class Fill>
  void Send(const Fill& fill) {
    if (waiting_ != nullptr) waiting_->Send(fill);
  }

 private:
  friend class Waiting<Context>;
  Waiting<Context>* waiting_ = nullptr;
};

template <class Context>
class Waiting {
 public:
  Waiting(kj::PromiseFulfiller<void>& fulfiller, Answer<Context>& answer, Context context)
      : fulfiller_(fulfiller), answer_(&answer), context_(kj::mv(context)) {
    answer.waiting_ = this;
  }
  ~Waiting() noexcept { Detach(); }

  template <class Fill>
  void Send(const Fill& fill) {
    Detach();
    fill(context_);
    fulfiller_.fulfill();
  }
  void Abandon() {
    Detach();
    fulfiller_.reject(KJ_EXCEPTION(DISCONNECTED, "the node has stopped"));
  }

 private:
  friend class Answer<Context>;
  void Detach() {
    if (answer_ != nullptr) answer_->waiting_ = nullptr;
    answer_ = nullptr;
  }

  kj::PromiseFulfiller<void>& fulfiller_;
  Answer<Context>* answer_;
  Context context_;
};

template <class Context>
void AllowCancellation(Context& context) {
#if CAPNP_VERSION < 1000000
  context.allowCancellation();  // of the promise; the coroutine runs on
#endif
}

}  // namespace ringraft::rpc
