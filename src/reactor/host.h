// What a node needs from the place it runs on. The real one is over io_uring (ring_host.h); the simulator has its own.
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

// A kj stream that a coroutine may return: its destructor does not throw.
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
  virtual Task<Result<KjStream>> Accept() = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // TCP, no delay. Names are resolved off the reactor. Errors: kUnreachable, kTimedOut, kInvalidArgument.
  virtual Task<Result<KjStream>> Connect(Addr addr, Duration timeout) = 0;
  // Binds at once. Errors: kIo that names the address and the cause, kInvalidArgument.
  virtual Result<std::unique_ptr<KjListener>> Listen(const Addr& addr) = 0;
};

// Something that another thread hands to the reactor. The object is its own queue node: posting allocates nothing.
class MailboxNode {
 public:
  virtual void OnDelivered() = 0;  // on the reactor, in a turn; may delete or post the node again

 protected:
  virtual ~MailboxNode() = default;

 private:
  friend class Mailbox;
  MailboxNode* next_ = nullptr;
};

// Lock-free, many producers, one consumer (an intrusive stack that is taken whole and reversed). Order is kept for each
// producer.
class Mailbox {
 public:
  virtual ~Mailbox() = default;
  // Any thread. Wakes the reactor only if it sleeps. A node is in one mailbox once.
  void Post(MailboxNode& node);
  // Reactor: delivers all that is there; false if there was nothing.
  bool Drain();

 protected:
  virtual void Wake() = 0;

  // The reactor goes to sleep only if this returns true, and calls EndSleep when it is awake again. From then until
  // then the first `Post`, or `WakeIfAsleep`, calls `Wake`, once (mailbox.cc says why none is missed).
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
  // Runs blocking work off the reactor, on a small pool of threads; reads of the log and name look-ups, never commits.
  // The function must not touch anything of the reactor. A dropped task lets it finish and ignores it.
  virtual Task<void> RunBlocking(std::function<void()> work) = 0;
  virtual uint64_t RandomSeed() = 0;
  virtual Logger& logger() = 0;

  // How `Reactor` drives it.
  virtual void Turn(Duration max_wait) = 0;
  virtual void Interrupt() = 0;  // any thread: makes a waiting turn return
};

}  // namespace ringraft::reactor
