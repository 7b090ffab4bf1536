// What a node needs from its environment: a loop, a network, a mailbox, blocking work. The production host is built on
// io_uring (ring_host.h); the simulator has its own.
#pragma once

#include <kj/async-io.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "coro/loop.h"
#include "ringraft/errc.h"
#include "ringraft/logger.h"
#include "ringraft/storage.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::reactor {

// A KJ stream that a coroutine may return: its destructor does not throw.
class KjStream {
 public:
  KjStream() noexcept = default;
  explicit KjStream(kj::Own<kj::AsyncIoStream> stream) noexcept : stream_(kj::mv(stream)) {}
  KjStream(KjStream&&) noexcept = default;
  KjStream& operator=(KjStream&&) noexcept = default;
  ~KjStream() noexcept {}
  kj::Own<kj::AsyncIoStream> Take() { return kj::mv(stream_); }

 private:
  kj::Own<kj::AsyncIoStream> stream_;
};

class KjListener {
 public:
  virtual ~KjListener() = default;
  // Errors: kIo, kStopped. Cancelling leaves the next connection in the backlog.
  virtual Task<Result<KjStream>> Accept() = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // TCP with TCP_NODELAY. Names are resolved off the reactor, and their addresses tried side by side. Errors:
  // kUnreachable, kTimedOut, kInvalidArgument, kIo. Cancelling closes the socket; a look-up that has begun continues,
  // and the next connect uses its result.
  virtual Task<Result<KjStream>> Connect(Addr addr, Duration timeout) = 0;
  // Binds at once: all addresses of a name, which blocks until it is resolved, for at most 10 s. Errors: kIo with the
  // address and the cause, kInvalidArgument.
  virtual Result<std::unique_ptr<KjListener>> Listen(const Addr& addr) = 0;
};

// A message from another thread to the reactor. The object is its own queue node: posting allocates nothing.
class MailboxNode {
 public:
  virtual void OnDelivered() = 0;  // on the reactor, in a turn; may delete the node or post it again

 protected:
  virtual ~MailboxNode() = default;

 private:
  friend class Mailbox;
  MailboxNode* next_ = nullptr;
};

// Lock-free queue with many producers and one consumer: an intrusive stack that the consumer takes whole and reverses.
// The order of each producer is kept.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  // Any thread. Wakes the reactor only if it sleeps. Precondition: the node is in no mailbox.
  void Post(MailboxNode& node);
  // Reactor thread: delivers all posted nodes; returns false if there were none.
  bool Drain();

 protected:
  virtual void Wake() = 0;

  // The reactor sleeps only if BeginSleep returns true, and calls EndSleep once it is awake. In between, the first
  // `Post` or `WakeIfAsleep` calls `Wake`, once (mailbox.cc explains why no wake-up is lost).
  bool BeginSleep();
  void EndSleep();
  void WakeIfAsleep();
  bool HasMail() const { return head_.load(std::memory_order_acquire) != nullptr; }

 private:
  std::atomic<MailboxNode*> head_{nullptr};
  std::atomic<bool> is_asleep_{false};
};

class Host {
 public:
  virtual ~Host() = default;
  virtual coro::Loop& loop() = 0;
  virtual Network& network() = 0;
  virtual Mailbox& mailbox() = 0;
  // Runs blocking work off the reactor, on a small pool of threads: reads of the log, never commits. The function must
  // not touch anything of the reactor. Cancelling drops work that has not begun; otherwise the function finishes, and
  // its result is ignored.
  virtual Task<void> RunBlocking(std::function<void()> work) = 0;
  // On a thread of its own, which queues after nothing: the end of a node, while its disk hangs. Cancelling never drops
  // the work.
  virtual Task<void> RunBlockingAlone(std::function<void()> work) { return RunBlocking(std::move(work)); }
  virtual uint64_t RandomSeed() = 0;
  virtual Logger& logger() = 0;

  // For `Reactor`, which drives the host.
  virtual void Turn(Duration max_wait) = 0;
  virtual void Interrupt() = 0;  // any thread: ends the wait of the current or the next turn
};

}  // namespace ringraft::reactor
