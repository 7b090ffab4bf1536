// Bytes that the calls of all connections together may have in flight: commands, and their replies. A connection that
// finds no room waits in line, and meanwhile does not read from its client; so a crowd of clients is slowed down and
// not refused. Owned by the server; reactor thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "coro/signal.h"
#include "ringraft/task.h"

namespace ringraft::kv {

class CallBudget {
 public:
  CallBudget(coro::Loop& loop, size_t limit) : limit_(limit), freed_(loop) {}
  CallBudget(const CallBudget&) = delete;

  // Gives back what it holds when it goes. Dies before the budget.
  class Lease {
   public:
    explicit Lease(CallBudget& budget) : budget_(budget) {}
    Lease(const Lease&) = delete;
    ~Lease() { budget_.Give(bytes_); }
    // Takes the bytes if no caller waits and there is room.
    bool TryTake(size_t bytes) { return budget_.next_ == budget_.serving_ && Fits(bytes); }
    // Waits for its turn, and for room. One that is larger than the limit goes alone.
    Task<void> Take(size_t bytes) {
      const uint64_t ticket = budget_.next_++;
      while (ticket != budget_.serving_ || !Fits(bytes)) {
        auto freed = budget_.freed_.Wait();
        co_await freed;
      }
      ++budget_.serving_;
      budget_.freed_.Notify();
    }

   private:
    bool Fits(size_t bytes) {
      if (budget_.used_ > 0 && budget_.used_ + bytes > budget_.limit_) return false;
      budget_.used_ += bytes;
      bytes_ = bytes;
      return true;
    }
    CallBudget& budget_;
    size_t bytes_ = 0;
  };

 private:
  void Give(size_t bytes) {
    used_ -= bytes;
    if (next_ != serving_) freed_.Notify();
  }

  const size_t limit_;
  coro::Signal freed_;
  size_t used_ = 0;
  uint64_t next_ = 0;     // the ticket of who comes next
  uint64_t serving_ = 0;  // the ticket that is served; equal to `next_` if no caller waits
};

}  // namespace ringraft::kv
