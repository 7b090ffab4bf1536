// One io_uring: setup, with an error for each way in which a kernel may refuse it, submission and completion. It knows
// nothing of sockets or coroutines. Created on any thread; the first thread that submits owns it (SINGLE_ISSUER).
#pragma once

#include <liburing.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::reactor {

// An operation of the ring. It must live until its final completion (one without IORING_CQE_F_MORE) is dispatched.
class RingOp {
 public:
  virtual void OnCompletion(int result, uint32_t flags) = 0;

 protected:
  ~RingOp() = default;
};

class Ring {
 public:
  // `entries` is the size of the submission queue, halved down to 64 if the limit of locked memory is too low for it.
  // `flag_set` is the first of kFlagSets that is tried: 0, the best one, except in tests of what older kernels get.
  // Errors: kUnsupported and kIo, with the remedy.
  static constexpr size_t kFlagSets = 3;
  static Result<std::unique_ptr<Ring>> Create(unsigned entries, size_t flag_set = 0);
  // The kernel cancels operations in flight some time later; their objects may be destroyed at once.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Queues a prepared entry and sets its user_data. The next wait submits it, or an earlier call if the queue is full.
  void Queue(io_uring_sqe entry, RingOp& op);
  // One system call at most: submits, and waits for a completion or the timeout.
  void SubmitAndWait(Duration timeout);
  // Submits and collects without waiting; no system call if there is nothing to do.
  void SubmitAndPeek();
  // Calls OnCompletion for each collected completion; returns true if there was any.
  bool Dispatch();

  // The number of operations without a dispatched final completion.
  size_t in_flight() const { return in_flight_; }
  // False if another thread owns the ring: then this one may not submit.
  bool IsOwnThread() const { return !is_bound_ || owner_ == std::this_thread::get_id(); }
  unsigned entries() const { return ring_.sq.ring_entries; }
  uint32_t setup_flags() const { return ring_.flags; }
  // Returns true while the kernel holds completions back because the completion queue is full.
  bool HasOverflowed() const { return io_uring_cq_has_overflow(&ring_); }

 private:
  struct Completion {
    RingOp* op;
    int result;
    uint32_t flags;
  };

  Ring() = default;
  void Bind();
  bool TryQueue(const io_uring_sqe& entry);
  void FlushOverflow();
  void Submitted(int result);
  void Collect();

  io_uring ring_{};
  bool is_created_ = false;
  bool is_bound_ = false;
  std::thread::id owner_;
  size_t in_flight_ = 0;
  std::deque<io_uring_sqe> overflow_;     // entries that found the submission queue full
  std::vector<Completion> completions_;   // collected, not yet dispatched
  std::vector<Completion> dispatching_;
};

}  // namespace ringraft::reactor
