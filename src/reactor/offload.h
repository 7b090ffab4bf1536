// Blocking work off the reactor: a bounded queue and up to two threads, started on demand; and threads for work that
// must not queue.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/list.h"
#include "coro/loop.h"
#include "coro/signal.h"
#include "reactor/host.h"
#include "ringraft/task.h"

namespace ringraft::reactor {

// Owned by a host; used on the reactor. Completed work returns through the mailbox, in no particular order.
class OffloadPool {
 public:
  static constexpr size_t kMaxThreads = 2;
  static constexpr size_t kMaxQueued = 256;  // further callers wait for room

  OffloadPool(coro::Loop& loop, Mailbox& mailbox) : loop_(loop), mailbox_(mailbox), room_(loop) {}
  // Waits for running work; drops work that has not begun.
  ~OffloadPool();
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  // Cancelling drops work that has not begun, and makes room in the queue; work that has begun ends and is ignored. So
  // the function must own what it uses. An exception that leaves it terminates the process.
  Task<void> Run(std::function<void()> work);
  // On a thread of its own. Cancelling never drops the work.
  Task<void> RunAlone(std::function<void()> work);

 private:
  class Waiter;
  struct Job;
  void Enqueue(Job& job);
  void RunOnOwnThread(Job& job);
  // Returns false if the job has begun.
  bool Unqueue(Job& job);
  void Work();

  coro::Loop& loop_;
  Mailbox& mailbox_;
  coro::Signal room_;
  base::List<Job> jobs_;  // all that have not been delivered; reactor thread only

  std::mutex mutex_;
  std::condition_variable has_work_;
  std::deque<Job*> queue_;  // jobs that have not begun
  size_t idle_threads_ = 0;
  bool is_closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ringraft::reactor
