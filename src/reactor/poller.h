// Waiting for a file descriptor to become readable or writable, through the ring. The kernel is asked for readiness
// only and never holds a caller's buffer, so dropping a waiter is always safe: the operation's object belongs to the
// poller and stays until the kernel has let go of it.
#pragma once

#include <poll.h>

#include <cstdint>
#include <vector>

#include "base/list.h"
#include "coro/loop.h"
#include "reactor/ring.h"

namespace ringraft::reactor {

class PollOp;
class Poller;

// A file descriptor that is closed when nobody refers to it any more: neither its user nor an operation in flight. So
// its number cannot be given to another file while the ring has an entry that names it. One thread.
class PolledFd {
 public:
  PolledFd(Poller& poller, int fd) : poller_(poller), fd_(fd) {}
  PolledFd(const PolledFd&) = delete;
  PolledFd& operator=(const PolledFd&) = delete;

  void Ref() { ++references_; }
  void Unref();

  int fd() const { return fd_; }
  Poller& poller() { return poller_; }
  coro::Loop& loop();

  // Hints of the stream that reads from it: a short read has shown that nothing more is there.
  bool is_drained = false;
  // Operations that completed without suspending, since one last did. See `socket.h`.
  unsigned immediate = 0;
  bool has_reader = false;
  bool has_writer = false;

 private:
  ~PolledFd() = default;
  Poller& poller_;
  const int fd_;
  unsigned references_ = 1;
};

// An owning reference to a PolledFd.
class PolledFdRef {
 public:
  PolledFdRef() noexcept = default;
  explicit PolledFdRef(PolledFd* owned) noexcept : fd_(owned) {}  // takes over one reference
  PolledFdRef(const PolledFdRef& other) noexcept : fd_(other.fd_) {
    if (fd_ != nullptr) fd_->Ref();
  }
  PolledFdRef(PolledFdRef&& other) noexcept : fd_(std::exchange(other.fd_, nullptr)) {}
  PolledFdRef& operator=(PolledFdRef other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~PolledFdRef() {
    if (fd_ != nullptr) fd_->Unref();
  }
  explicit operator bool() const { return fd_ != nullptr; }
  PolledFd* operator->() const { return fd_; }
  PolledFd& operator*() const { return *fd_; }

 private:
  PolledFd* fd_ = nullptr;
};

// Somebody who waits for readiness. Its destructor cancels.
class PollWaiter {
 public:
  PollWaiter() = default;
  PollWaiter(const PollWaiter&) = delete;
  PollWaiter& operator=(const PollWaiter&) = delete;

  // In a turn: the poll(2) events that have come, or a negative errno.
  virtual void OnPoll(int events) = 0;

  void StartPolling(PolledFd& fd, uint32_t events);
  void StopPolling();
  bool is_polling() const { return op_ != nullptr; }

 protected:
  ~PollWaiter() { StopPolling(); }

 private:
  friend class PollOp;
  friend class Poller;
  PollOp* op_ = nullptr;
};

// Keeps the operations, reuses them, and knows which are in flight.
class Poller {
 public:
  Poller(Ring& ring, coro::Loop& loop) : ring_(ring), loop_(loop) {}
  ~Poller();  // the ring has been destroyed, or has nothing in flight
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Asks the kernel to end everything that is in flight; what is cancelled is not told to its waiter.
  void CancelAll();
  Ring& ring() { return ring_; }
  coro::Loop& loop() { return loop_; }

 private:
  friend class PollOp;
  friend class PollWaiter;
  PollOp* Acquire();

  Ring& ring_;
  coro::Loop& loop_;
  base::List<PollOp> in_flight_;
  base::List<PollOp> free_;
};

// One poll in flight, and its cancellation. It is reused only when the kernel has completed both.
class PollOp final : public base::ListHook, public RingOp {
 public:
  explicit PollOp(Poller& poller) : poller_(poller), cancel_(*this) {}
  void OnCompletion(int result, uint32_t flags) override;

 private:
  friend class Poller;
  friend class PollWaiter;
  struct Cancellation final : RingOp {
    explicit Cancellation(PollOp& op) : op(op) {}
    void OnCompletion(int result, uint32_t flags) override { op.OnPartDone(); }
    PollOp& op;
  };
  void Start(PollWaiter& waiter, PolledFd& fd, uint32_t events);
  void Cancel();
  void OnPartDone();

  Poller& poller_;
  Cancellation cancel_;
  PollWaiter* waiter_ = nullptr;
  PolledFdRef fd_;
  int parts_ = 0;  // completions that are still to come
  bool is_cancelled_ = false;
};

}  // namespace ringraft::reactor
