// The production host: one io_uring, and everything that uses it.
#pragma once

#include <atomic>
#include <memory>

#include "coro/loop.h"
#include "reactor/host.h"
#include "reactor/offload.h"
#include "reactor/poller.h"
#include "reactor/resolver.h"
#include "reactor/ring.h"
#include "reactor/ring_network.h"
#include "ringraft/errc.h"
#include "ringraft/logger.h"

namespace ringraft::reactor {

class SystemTime final : public coro::TimeSource {
 public:
  TimePoint Now() const override { return Clock::now(); }
  std::chrono::system_clock::time_point WallNow() const override { return std::chrono::system_clock::now(); }
};

// The mailbox and the eventfd that wakes the ring.
class RingMailbox final : public Mailbox {
 public:
  explicit RingMailbox(int event_fd) : event_fd_(event_fd) {}
  ~RingMailbox() override;

  // Ends the current or the next wait. Any thread.
  void Interrupt();
  using Mailbox::EndSleep;
  using Mailbox::HasMail;
  bool BeginSleep();
  int event_fd() const { return event_fd_; }

 private:
  void Wake() override;
  const int event_fd_;
  std::atomic<bool> is_interrupted_{false};
};

// Polls the eventfd of the mailbox forever. The counter is read only when the poll is rearmed: with a multishot poll
// every write to it gives a completion.
class WakeUp final : public RingOp {
 public:
  WakeUp(Ring& ring, int event_fd) : ring_(ring), event_fd_(event_fd) {}
  void Arm();
  void Cancel();
  bool is_armed() const { return is_armed_; }
  void OnCompletion(int result, uint32_t flags) override;

 private:
  struct Cancellation final : RingOp {
    void OnCompletion(int, uint32_t) override {}
  };
  Ring& ring_;
  const int event_fd_;
  bool is_armed_ = false;
  bool is_multishot_ = true;
  bool is_cancelled_ = false;
  Cancellation cancellation_;
};

class RingHost final : public Host {
 public:
  // Any thread; the first that calls `Turn` owns the ring. Errors: kUnsupported, kIo, kInvalidArgument.
  // `flag_set`: see Ring::Create.
  static Result<std::unique_ptr<RingHost>> Create(unsigned ring_entries, Logger& logger, size_t flag_set = 0);
  // On the thread that owns the ring it waits until the kernel has completed everything; on another thread it leaves
  // that to the kernel. Precondition: everything that uses the host has been destroyed.
  ~RingHost() override;

  coro::Loop& loop() override { return loop_; }
  Network& network() override { return network_; }
  Mailbox& mailbox() override { return mailbox_; }
  Task<void> RunBlocking(std::function<void()> work) override;
  Task<void> RunBlockingAlone(std::function<void()> work) override;
  uint64_t RandomSeed() override;
  Logger& logger() override { return logger_; }
  void Turn(Duration max_wait) override;
  void Interrupt() override { mailbox_.Interrupt(); }

  RingNetwork& ring_network() { return network_; }
  Resolver& resolver() { return resolver_; }
  Poller& poller() { return poller_; }
  Ring& ring() { return *ring_; }
  // Operations in flight, without the poll for wake-ups.
  size_t in_flight() const { return ring_->in_flight() - (wake_up_.is_armed() ? 1 : 0); }

 private:
  RingHost(std::unique_ptr<Ring> ring, int event_fd, Logger& logger);
  void Drain();

  Logger& logger_;
  SystemTime time_;
  coro::Loop loop_;
  std::unique_ptr<Ring> ring_;
  RingMailbox mailbox_;
  WakeUp wake_up_;
  Poller poller_;
  OffloadPool offload_;
  Resolver resolver_;
  RingNetwork network_;
};

}  // namespace ringraft::reactor
