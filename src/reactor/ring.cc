#include "reactor/ring.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/assert.h"

namespace ringraft::reactor {
namespace {

constexpr unsigned kLeastEntries = 64;

// Best first. With the first set completions are delivered when the owner asks for them, without interrupting it; older
// kernels return EINVAL.
constexpr uint32_t kFlags[Ring::kFlagSets] = {
    IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP,
    IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL |
        IORING_SETUP_CLAMP,
    IORING_SETUP_CLAMP,
};

int SysctlIoUringDisabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = 0;
  if (!(file >> value)) return 0;
  return value;
}

Error SetupError(int error, unsigned entries) {
  const char* text = std::strerror(error);
  if (error == ENOSYS) {
    return Error(Errc::kUnsupported,
                 fmt::format("io_uring_setup: {}: this kernel or sandbox has no io_uring; use Linux 5.19 or later with "
                             "CONFIG_IO_URING, or a sandbox that passes io_uring through",
                             text));
  }
  if (error == EPERM || error == EACCES) {
    const int disabled = SysctlIoUringDisabled();
    if (disabled != 0) {
      return Error(Errc::kUnsupported,
                   fmt::format("io_uring_setup: {}: kernel.io_uring_disabled is {}; allow it with: sysctl -w "
                               "kernel.io_uring_disabled=0",
                               text, disabled));
    }
    return Error(Errc::kUnsupported,
                 fmt::format("io_uring_setup: {}: a seccomp profile refuses io_uring, as those of containers do; allow "
                             "io_uring_setup, io_uring_enter and io_uring_register in it (to try it out: docker run "
                             "--security-opt seccomp=unconfined)",
                             text));
  }
  if (error == ENOMEM) {
    return Error(Errc::kIo, fmt::format("io_uring_setup: {}: RLIMIT_MEMLOCK is too small even for {} entries; raise it "
                                        "(ulimit -l, LimitMEMLOCK= of the service)",
                                        text, entries));
  }
  if (error == EMFILE || error == ENFILE) {
    return Error(Errc::kIo, fmt::format("io_uring_setup: {}: raise RLIMIT_NOFILE (ulimit -n)", text));
  }
  return Error(Errc::kIo, fmt::format("io_uring_setup with {} entries: {}", entries, text));
}

int Setup(io_uring& ring, unsigned entries, size_t flag_set) {
  int error = EINVAL;
  for (; flag_set < Ring::kFlagSets; ++flag_set) {
    io_uring_params params{};
    params.flags = kFlags[flag_set];
    error = -io_uring_queue_init_params(entries, &ring, &params);
    if (error != EINVAL) break;
  }
  return error;
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::Create(unsigned entries, size_t flag_set) {
  std::unique_ptr<Ring> ring(new Ring());
  const unsigned least = std::min(entries, kLeastEntries);
  int error = Setup(ring->ring_, entries, flag_set);
  while (error == ENOMEM && entries > least) {
    entries = std::max(least, entries / 2);
    error = Setup(ring->ring_, entries, flag_set);
  }
  if (error != 0) return SetupError(error, entries);
  ring->is_created_ = true;
  return ring;
}

Ring::~Ring() {
  if (is_created_) io_uring_queue_exit(&ring_);
}

// A ring with SINGLE_ISSUER belongs to the thread that enables it: the first one that submits.
void Ring::Bind() {
  if (is_bound_) return;
  is_bound_ = true;
  owner_ = std::this_thread::get_id();
  if ((ring_.flags & IORING_SETUP_R_DISABLED) == 0) return;
  // Not io_uring_enable_rings: liburing 2.3 declares it, but its shared library does not export it.
  const long result = syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  if (result < 0) std::fprintf(stderr, "ringraft: enabling the io_uring: %s\n", std::strerror(errno));
  RINGRAFT_ASSERT(result >= 0);
}

void Ring::Queue(io_uring_sqe entry, RingOp& op) {
  entry.user_data = reinterpret_cast<uintptr_t>(&op);
  ++in_flight_;
  // After the others that wait for room: a cancellation must not overtake its operation.
  if (overflow_.empty() && TryQueue(entry)) return;
  overflow_.push_back(entry);
  if (is_bound_ && IsOwnThread()) FlushOverflow();
}

bool Ring::TryQueue(const io_uring_sqe& entry) {
  io_uring_sqe* slot = io_uring_get_sqe(&ring_);
  if (slot == nullptr) return false;
  *slot = entry;
  return true;
}

void Ring::FlushOverflow() {
  while (!overflow_.empty()) {
    if (TryQueue(overflow_.front())) {
      overflow_.pop_front();
      continue;
    }
    const int result = io_uring_submit(&ring_);
    Submitted(result);
    if (result <= 0) return;  // completion queue full or memory short: retried after the next collection
  }
}

// EBUSY: the completion queue has overflowed and must be drained first. EAGAIN: no memory for requests at the moment.
// In both cases the entries stay queued and are part of the next submission.
void Ring::Submitted(int result) {
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY) return;
  std::fprintf(stderr, "ringraft: io_uring_enter: %s\n", std::strerror(-result));
  RINGRAFT_ASSERT(!"io_uring_enter failed");
}

void Ring::SubmitAndWait(Duration timeout) {
  Bind();
  FlushOverflow();
  if (!completions_.empty() || !overflow_.empty() || timeout <= Duration::zero()) {
    SubmitAndPeek();
    return;
  }
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count();
  __kernel_timespec wait{};
  wait.tv_sec = nanoseconds / 1'000'000'000;
  wait.tv_nsec = nanoseconds % 1'000'000'000;
  io_uring_cqe* first = nullptr;
  Submitted(io_uring_submit_and_wait_timeout(&ring_, &first, 1, &wait, nullptr));
  Collect();
}

void Ring::SubmitAndPeek() {
  Bind();
  FlushOverflow();
  // Peeking enters the kernel by itself if the ring's flags say that completions wait to be posted; submitting does so,
  // too.
  if (io_uring_sq_ready(&ring_) > 0) Submitted(io_uring_submit_and_get_events(&ring_));
  Collect();
}

void Ring::Collect() {
  constexpr unsigned kBatch = 64;
  io_uring_cqe* entries[kBatch];
  while (true) {
    const unsigned count = io_uring_peek_batch_cqe(&ring_, entries, kBatch);
    for (unsigned i = 0; i < count; ++i) {
      RingOp* op = reinterpret_cast<RingOp*>(static_cast<uintptr_t>(entries[i]->user_data));
      if (op != nullptr) completions_.push_back(Completion{op, entries[i]->res, entries[i]->flags});
    }
    io_uring_cq_advance(&ring_, count);
    if (count < kBatch) return;
  }
}

bool Ring::Dispatch() {
  if (completions_.empty()) return false;
  // Completions that are collected meanwhile are for the next call.
  dispatching_.swap(completions_);
  for (const Completion& completion : dispatching_) {
    if ((completion.flags & IORING_CQE_F_MORE) == 0) --in_flight_;
    completion.op->OnCompletion(completion.result, completion.flags);
  }
  dispatching_.clear();
  return true;
}

}  // namespace ringraft::reactor
