// SIGINT, SIGTERM and SIGCHLD as something to wait for, so that a run that is broken off still cleans up.
#pragma once

#include <memory>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::bench {

// Make it before the first thread: the signals stay blocked in all of them. One thread.
class Signals {
 public:
  static Result<std::unique_ptr<Signals>> Create();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // In a child between fork and exec: the new program starts with the signals as usual.
  static void Unblock();

  // Waits up to `max_wait`, less if a signal comes or `fd` (unless -1) can be read. True if `fd` can be read.
  bool Wait(Duration max_wait, int fd = -1);
  // SIGINT or SIGTERM has come.
  bool is_asked_to_stop() const { return is_asked_to_stop_; }

 private:
  explicit Signals(int fd) : fd_(fd) {}
  int fd_;
  bool is_asked_to_stop_ = false;
};

}  // namespace ringraft::bench
