// One io_uring: submission, completion and every way in which a kernel may refuse it. It knows nothing of sockets or
// coroutines. Created on any thread; the first thread that submits owns it from then on (SINGLE_ISSUER).
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

// An operation of the ring. It must live until its last completion (one without IORING_CQE_F_MORE) has been dispatched.
class RingOp {
 public:
  virtual void OnCompletion(int result, uint32_t flags) = 0;

 protected:
  ~RingOp() = default;
};

class Ring {
 public:
  // `entries` is the size of the submission queue, halved down to 64 where the kernel has not enough locked memory for
  // it. Errors: kUnsupported and kIo, with the remedy.
  // `flag_set` is the first, of kFlagSets, that is tried: 0, the best one, except in tests of what older kernels get.
  static constexpr size_t kFlagSets = 3;
  static Result<std::unique_ptr<Ring>> Create(unsigned entries, size_t flag_set = 0);
  // Operations in flight are cancelled by the kernel, some time after; their objects may go at once.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Queues a prepared entry; it is submitted by the next wait, or earlier if the queue is full. Sets its user_data.
  void Queue(io_uring_sqe entry, RingOp& op);
  // One system call at most: submits, and waits until a completion is there or the time is over.
  void SubmitAndWait(Duration timeout);
  // Submits and collects without waiting; no system call if there is nothing to do.
  void SubmitAndPeek();
  // Calls OnCompletion for everything that has completed; true if there was anything.
  bool Dispatch();

  // Operations whose last completion has not been dispatched.
  size_t in_flight() const { return in_flight_; }
  // False on a thread that may not submit, since another one owns the ring.
  bool IsOwnThread() const { return !is_bound_ || owner_ == std::this_thread::get_id(); }
  unsigned entries() const { return ring_.sq.ring_entries; }
  uint32_t setup_flags() const { return ring_.flags; }
  // Does the kernel hold completions back because the queue for them is full?
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
  std::deque<io_uring_sqe> overflow_;     // entries for which the submission queue had no room
  std::vector<Completion> completions_;   // collected, not yet dispatched
  std::vector<Completion> dispatching_;
};

}  // namespace ringraft::reactor
