// An incoming call has two halves that end independently: the KJ promise that Cap'n Proto waits for, and the coroutine
// of the service. `Reply` belongs to the coroutine, `PendingReply` to the promise; each knows whether the other still
// exists. So a coroutine never touches the state of a connection that has ended, and cancelling a coroutine rejects its
// promise.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/common.h>
#include <kj/async.h>
#include <kj/debug.h>

#include <utility>

namespace ringraft::rpc {

template <class Context>
class PendingReply;

template <class Context>
class Reply {
 public:
  Reply() noexcept = default;
  Reply(Reply&& other) noexcept : pending_(std::exchange(other.pending_, nullptr)) {
    if (pending_ != nullptr) pending_->reply_ = this;
  }
  ~Reply() {
    if (pending_ != nullptr) pending_->Abandon();
  }

  // Calls `fill(context)` to write the results, unless the promise has been dropped.
  template <class Fill>
  void Send(const Fill& fill) {
    if (pending_ != nullptr) pending_->Send(fill);
  }

 private:
  friend class PendingReply<Context>;
  PendingReply<Context>* pending_ = nullptr;
};

template <class Context>
class PendingReply {
 public:
  PendingReply(kj::PromiseFulfiller<void>& fulfiller, Reply<Context>& reply, Context context)
      : fulfiller_(fulfiller), reply_(&reply), context_(kj::mv(context)) {
    reply.pending_ = this;
  }
  ~PendingReply() noexcept { Detach(); }

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
  friend class Reply<Context>;
  void Detach() {
    if (reply_ != nullptr) reply_->pending_ = nullptr;
    reply_ = nullptr;
  }

  kj::PromiseFulfiller<void>& fulfiller_;
  Reply<Context>* reply_;
  Context context_;
};

template <class Context>
void AllowCancellation(Context& context) {
#if CAPNP_VERSION < 1000000
  context.allowCancellation();  // of the promise; the coroutine continues
#endif
}

inline kj::Exception ConnectionEnded() { return KJ_EXCEPTION(DISCONNECTED, "the connection has ended"); }

}  // namespace ringraft::rpc
