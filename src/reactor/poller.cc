#include "reactor/poller.h"

#include <unistd.h>

#include "base/assert.h"
#include "coro/loop.h"

namespace ringraft::reactor {

void PolledFd::Unref() {
  if (--references_ > 0) return;
  ::close(fd_);
  delete this;
}

coro::Loop& PolledFd::loop() { return poller_.loop(); }

void PollWaiter::StartPolling(PolledFd& fd, uint32_t events) {
  RINGRAFT_ASSERT(op_ == nullptr);
  PollOp* op = fd.poller().Acquire();
  op_ = op;
  op->Start(*this, fd, events);
}

void PollWaiter::StopPolling() {
  if (op_ == nullptr) return;
  PollOp* op = std::exchange(op_, nullptr);
  op->waiter_ = nullptr;
  op->Cancel();
}

Poller::~Poller() {
  for (base::List<PollOp>* list : {&in_flight_, &free_}) {
    while (PollOp* op = list->PopFront()) {
      if (op->waiter_ != nullptr) op->waiter_->op_ = nullptr;
      delete op;
    }
  }
}

PollOp* Poller::Acquire() {
  PollOp* op = free_.PopFront();
  if (op == nullptr) op = new PollOp(*this);
  in_flight_.PushBack(*op);
  return op;
}

void Poller::CancelAll() {
  for (PollOp* op = in_flight_.front(); op != nullptr; op = in_flight_.Next(*op)) {
    if (op->waiter_ != nullptr) std::exchange(op->waiter_, nullptr)->op_ = nullptr;
    op->Cancel();
  }
}

void PollOp::Start(PollWaiter& waiter, PolledFd& fd, uint32_t events) {
  waiter_ = &waiter;
  fd.Ref();
  fd_ = PolledFdRef(&fd);
  parts_ = 1;
  is_cancelled_ = false;
  io_uring_sqe entry{};
  io_uring_prep_poll_add(&entry, fd.fd(), events);
  poller_.ring_.Queue(entry, *this);
}

void PollOp::Cancel() {
  if (is_cancelled_) return;
  is_cancelled_ = true;
  ++parts_;
  io_uring_sqe entry{};
  io_uring_prep_cancel64(&entry, reinterpret_cast<uintptr_t>(static_cast<RingOp*>(this)), 0);
  poller_.ring_.Queue(entry, cancel_);
}

void PollOp::OnCompletion(int result, uint32_t) {
  PollWaiter* waiter = std::exchange(waiter_, nullptr);
  if (waiter != nullptr) waiter->op_ = nullptr;
  OnPartDone();
  if (waiter != nullptr) waiter->OnPoll(result);  // last: it may start the next poll, or destroy the waiter
}

void PollOp::OnPartDone() {
  if (--parts_ > 0) return;
  fd_ = PolledFdRef();
  poller_.free_.PushBack(*this);
}

}  // namespace ringraft::reactor
