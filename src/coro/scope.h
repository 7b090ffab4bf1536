// A scope owns running coroutines. Destroying it cancels them; `Join` waits until they have ended.
#pragma once

#include <cstddef>

#include "base/list.h"
#include "coro/loop.h"
#include "coro/signal.h"
#include "ringraft/task.h"

namespace ringraft::coro {

// One loop, one thread. Precondition of the destructor and of Cancel: the caller is not one of its own coroutines.
class Scope {
 public:
  explicit Scope(coro::Loop& loop);
  ~Scope();  // destroys every coroutine that has not ended
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  // Runs the task at once up to its first suspension. An exception that leaves it terminates the process.
  void Start(Task<void> task);
  size_t size() const { return size_; }
  // Ends when no coroutine is left. Cancelling only ends the wait: the coroutines continue.
  Task<void> Join();
  // Destroys all coroutines now, in the order in which they started.
  void Cancel();

 private:
  struct Runner;  // the coroutine around each task; its promise is the node in `running_`
  struct RunnerPromise;
  static Runner Run(Scope& scope, Task<void> task);

  base::List<RunnerPromise> running_;
  size_t size_ = 0;
  Signal emptied_;
};

}  // namespace ringraft::coro
