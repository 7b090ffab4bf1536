// Waiting for a file descriptor to become readable or writable, through the ring. The kernel only reports readiness and
// never holds a caller's buffer, so destroying a waiter is always safe: the operation's object belongs to the poller
// and lives until the kernel has completed it.
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

// A reference-counted file descriptor: its user and each operation in flight hold a reference, and the last one closes
// it. So the kernel cannot reuse its number while the ring has an entry that names it. One thread.
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

  // Set by a short read: the socket is empty, and the next read polls first.
  bool is_drained = false;
  // Operations that completed without suspending since the last one that suspended (kMaxImmediate in socket.cc).
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
  explicit PolledFdRef(PolledFd* owned) noexcept : fd_(owned) {}  // takes ownership of one reference
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

// A waiter for readiness. Its destructor cancels: OnPoll is then not called.
class PollWaiter {
 public:
  PollWaiter() = default;
  PollWaiter(const PollWaiter&) = delete;
  PollWaiter& operator=(const PollWaiter&) = delete;

  // Called in a turn with the poll(2) events that have occurred, or a negative errno.
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

// Owns the operations, reuses them, and tracks which are in flight.
class Poller {
 public:
  Poller(Ring& ring, coro::Loop& loop) : ring_(ring), loop_(loop) {}
  ~Poller();  // Precondition: the ring has been destroyed, or has nothing in flight.
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Requests the cancellation of everything in flight; waiters are not notified.
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

// One poll in flight and, if it was cancelled, the cancellation. Reused only after the kernel has completed both.
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
  int parts_ = 0;  // completions still to come: of the poll, and of its cancellation
  bool is_cancelled_ = false;
};

}  // namespace ringraft::reactor
