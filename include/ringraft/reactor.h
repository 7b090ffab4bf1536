// One thread, one io_uring. Everything of the nodes that run on it happens in its turns.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>

#include "ringraft/errc.h"
#include "ringraft/logger.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft {

namespace reactor {
class Host;
}

struct ReactorOptions {
  ReactorOptions() {}
  unsigned ring_entries = 1024;  // 8 .. 32768; halved down to 64 where RLIMIT_MEMLOCK is too small
  Logger* logger = nullptr;      // null: standard error
};

class Reactor {
 public:
  // Errors: kUnsupported with the cause (a kernel, sysctl or seccomp profile that refuses io_uring) and the remedy;
  // kIo.
  static Result<std::unique_ptr<Reactor>> Create(ReactorOptions options = ReactorOptions());
  // Takes an implementation of the host instead of the ring: how the simulator and tests come in.
  explicit Reactor(std::unique_ptr<reactor::Host> host);
  // All nodes on it must have stopped. Joins the thread that `Start` made.
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Runs on a thread of its own from here on. Either this, or one of the next two, always from the same thread.
  Result<void> Start();
  // Runs on the calling thread until `Stop`.
  void Run();
  // One turn: waits up to `max_wait` for something to happen and handles it.
  void RunOnce(Duration max_wait);

  // Makes `Run`, or the own thread, return after its present turn. Any thread, any time, any number of times.
  void Stop();

  // Runs `function` in a later turn. Any thread. Functions that are still waiting at the destructor are dropped.
  void Post(std::function<void()> function);
  // Starts a coroutine that the reactor owns; the destructor destroys it if it has not ended. Any thread.
  void Spawn(Task<void> task);

  // Is a thread in `Run`, or has `Start` given it one?
  bool IsDriven() const;
  // Is the caller inside a turn of this reactor?
  bool IsInTurn() const;

  // `co_await reactor.Sleep(10ms)`, in a coroutine that runs on this reactor.
  Task<void> Sleep(Duration duration);

  reactor::Host& host() { return *host_; }

 private:
  struct Impl;
  std::unique_ptr<reactor::Host> host_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ringraft
