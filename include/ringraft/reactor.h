// One thread with one io_uring. All coroutines and callbacks of its nodes run in its turns.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>

#include "ringraft/errc.h"
#include "ringraft/logger.h"
#include "ringraft/task.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

namespace reactor {
class Host;
}

struct ReactorOptions {
  ReactorOptions() {}
  unsigned ring_entries = 1024;  // 8 .. 32768; halved, down to 64, while RLIMIT_MEMLOCK is too small
  Logger* logger = nullptr;      // null: standard error; must outlive the reactor
};

class Reactor {
 public:
  // Errors: kUnsupported with the cause (a kernel, sysctl or seccomp profile that refuses io_uring) and the remedy;
  // kIo. Any thread.
  static Result<std::unique_ptr<Reactor>> Create(ReactorOptions options = ReactorOptions());
  // With another host instead of the ring: for the simulator and tests.
  explicit Reactor(std::unique_ptr<reactor::Host> host);
  // All its nodes must have stopped, and no thread may be in `Run` or `RunOnce`. Joins the thread of `Start`; destroys
  // the coroutines of `Spawn` that have not ended. Must not run in a turn.
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // A reactor is driven by one thread: either its own (`Start`), or that of its user, which calls `Run` or `RunOnce`.
  //
  // Starts the reactor's own thread. Errors: kRanRepeatedly; kIo if the thread cannot be created.
  Result<void> Start();
  // Runs turns on the calling thread until `Stop`.
  void Run();
  // Runs one turn: waits up to `max_wait` for an event and handles what there is.
  void RunOnce(Duration max_wait);

  // Ends `Run`, or the reactor's own thread, after its present turn. For good: a stopped reactor does not run again.
  // Any thread; idempotent.
  void Stop();

  // Runs `function` in a later turn. Any thread. The destructor drops functions that have not run.
  void Post(std::function<void()> function);
  // Starts a coroutine in a later turn. The reactor owns it, and destroys it in its destructor if it has not ended. Any
  // thread.
  void Spawn(Task<void> task);

  // True while a thread is in `Run`, and from `Start` on. Any thread.
  bool IsDriven() const;
  // True on the reactor's thread within a turn. Any thread.
  bool IsInTurn() const;

  // `co_await reactor.Sleep(10ms)`, in a coroutine that runs on this reactor. Destroying the task cancels the timer.
  Task<void> Sleep(Duration duration);

  // For the library's own parts.
  reactor::Host& host() { return *host_; }

 private:
  struct Impl;
  std::unique_ptr<reactor::Host> host_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringraft
