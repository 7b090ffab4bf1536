#include "reactor/ring_host.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "base/assert.h"
#include "base/try.h"

namespace ringraft::reactor {

RingMailbox::~RingMailbox() { ::close(event_fd_); }

void RingMailbox::Wake() {
  const uint64_t one = 1;
  // EAGAIN would mean that the counter is at its maximum; the poll has been woken all the same.
  [[maybe_unused]] const ssize_t written = ::write(event_fd_, &one, sizeof(one));
}

void RingMailbox::Interrupt() {
  is_interrupted_.store(true, std::memory_order_seq_cst);
  WakeIfAsleep();
}

// is_interrupted_ plays the same part as the mailbox's head_: see mailbox.cc.
bool RingMailbox::BeginSleep() {
  if (!Mailbox::BeginSleep()) return false;
  if (!is_interrupted_.load(std::memory_order_seq_cst)) return true;
  is_interrupted_.store(false, std::memory_order_seq_cst);
  EndSleep();
  return false;
}

void WakeUp::Arm() {
  if (is_armed_ || is_cancelled_) return;
  is_armed_ = true;
  io_uring_sqe entry{};
  if (is_multishot_) {
    io_uring_prep_poll_multishot(&entry, event_fd_, POLLIN);
  } else {
    io_uring_prep_poll_add(&entry, event_fd_, POLLIN);
  }
  ring_.Queue(entry, *this);
}

void WakeUp::OnCompletion(int result, uint32_t flags) {
  if ((flags & IORING_CQE_F_MORE) != 0) return;
  is_armed_ = false;
  if (result == -EINVAL) is_multishot_ = false;  // Linux before 5.13
  // A new poll completes at once unless the counter has been read.
  uint64_t count;
  [[maybe_unused]] const ssize_t got = ::read(event_fd_, &count, sizeof(count));
  Arm();
}

void WakeUp::Cancel() {
  is_cancelled_ = true;
  if (!is_armed_) return;
  io_uring_sqe entry{};
  io_uring_prep_cancel64(&entry, reinterpret_cast<uintptr_t>(static_cast<RingOp*>(this)), 0);
  ring_.Queue(entry, cancellation_);
}

Result<std::unique_ptr<RingHost>> RingHost::Create(unsigned ring_entries, Logger& logger, size_t flag_set) {
  if (ring_entries < 8 || ring_entries > 32768) {
    return Error(Errc::kInvalidArgument, fmt::format("ring_entries is {}: it must be 8 .. 32768", ring_entries));
  }
  RINGRAFT_TRY(ring, Ring::Create(ring_entries, flag_set));
  const int event_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_fd < 0) {
    return Error(Errc::kIo, fmt::format("eventfd: {}; raise RLIMIT_NOFILE (ulimit -n)", std::strerror(errno)));
  }
  return std::unique_ptr<RingHost>(new RingHost(std::move(ring), event_fd, logger));
}

RingHost::RingHost(std::unique_ptr<Ring> ring, int event_fd, Logger& logger)
    : logger_(logger),
      loop_(time_),
      ring_(std::move(ring)),
      mailbox_(event_fd),
      wake_up_(*ring_, event_fd),
      poller_(*ring_, loop_),
      offload_(loop_, mailbox_),
      resolver_(loop_, mailbox_),
      network_(poller_, resolver_) {
  wake_up_.Arm();
}

RingHost::~RingHost() {
  Drain();
  ring_.reset();  // before the poller: the kernel may use its operations until then
}

// Waits until nothing is left in the kernel, if this thread may use the ring.
void RingHost::Drain() {
  if (!ring_->IsOwnThread()) return;
  poller_.CancelAll();
  wake_up_.Cancel();
  for (int i = 0; i < 1000 && ring_->in_flight() > 0; ++i) {
    ring_->SubmitAndWait(std::chrono::milliseconds(10));
    ring_->Dispatch();
  }
}

void RingHost::Turn(Duration max_wait) {
  Duration wait = max_wait;
  if (loop_.HasWork()) {
    wait = Duration::zero();
  } else if (const auto next = loop_.NextTimer()) {
    wait = std::min(wait, std::max(Duration::zero(), *next - time_.Now()));
  }
  if (wait > Duration::zero() && mailbox_.BeginSleep()) {
    ring_->SubmitAndWait(wait);
    mailbox_.EndSleep();
  } else {
    ring_->SubmitAndPeek();
  }
  loop_.Turn([this] {
    ring_->Dispatch();
    mailbox_.Drain();
  });
}

Task<void> RingHost::RunBlocking(std::function<void()> work) {
  auto run = offload_.Run(std::move(work));
  co_await run;
}

Task<void> RingHost::RunBlockingAlone(std::function<void()> work) {
  auto run = offload_.RunAlone(std::move(work));
  co_await run;
}

uint64_t RingHost::RandomSeed() {
  uint64_t seed = 0;
  if (::getrandom(&seed, sizeof(seed), 0) == sizeof(seed)) return seed;
  return std::random_device()();
}

}  // namespace ringraft::reactor
