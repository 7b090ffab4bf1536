// Owns running coroutines. Dropping it cancels them; `Join` drains it.
#pragma once

#include <cstddef>

#include "base/list.h"
#include "coro/signal.h"
#include "coro/loop.h"
#include "ringraft/task.h"

namespace ringraft::coro {

// One reactor thread. Must not be destroyed, or cancelled, from inside one of its own coroutines.
class Scope {
 public:
  explicit Scope(coro::Loop& loop);
  ~Scope();  // destroys every coroutine that has not ended
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Runs the task at once up to its first suspension. An exception that leaves it stops the process.
  void Start(Task<void> task);
  size_t size() const { return size_; }
  Task<void> Join();  // until no coroutine is left
  void Cancel();      // destroys them all now, in the order of starting

 private:
  struct Runner;  // the coroutine around each task; its promise is the link in `running_`
  struct RunnerPromise;
  static Runner Run(Scope& scope, Task<void> task);

  base::List<RunnerPromise> running_;
  size_t size_ = 0;
  Signal emptied_;
};

}  // namespace ringraft::coro
