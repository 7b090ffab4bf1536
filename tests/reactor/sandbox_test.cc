// Kernels and containers that refuse io_uring, permanently or temporarily, simulated by a seccomp filter in a child.
#include <doctest/doctest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "reactor/ring.h"
#include "support.h"

namespace ringraft::reactor {
namespace {

bool RefuseIoUring(int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Refuses submissions of exactly this many entries, and no others.
bool RefuseToSubmit(unsigned entries, int error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, entries, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (static_cast<unsigned>(error) & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

struct Counter final : RingOp {
  void OnCompletion(int, uint32_t) override { ++completions; }
  int completions = 0;
};

// Queues five operations that the kernel refuses twice, and then one more. Returns, for example,
// "5 refused, 6 completed".
std::string SubmitWhileRefused(int error) {
  auto ring = Ring::Create(64);
  if (!ring || !RefuseToSubmit(5, error)) return "not prepared";
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  for (int i = 0; i < 5; ++i) ring.value()->Queue(nop, counter);
  ring.value()->SubmitAndPeek();
  ring.value()->SubmitAndWait(std::chrono::milliseconds(1));
  ring.value()->Dispatch();
  std::string text = std::to_string(5 - counter.completions) + " refused, ";
  ring.value()->Queue(nop, counter);
  for (int i = 0; i < 100 && ring.value()->in_flight() > 0; ++i) {
    ring.value()->SubmitAndWait(std::chrono::seconds(1));
    ring.value()->Dispatch();
  }
  return text + std::to_string(counter.completions) + " completed";
}

// Returns the result of `work` in a child process.
template <class Work>
std::string InChild(Work work) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string text = work();
    [[maybe_unused]] const ssize_t written = ::write(pipe[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string text;
  char buffer[1000];
  for (ssize_t got; (got = ::read(pipe[0], buffer, sizeof(buffer))) > 0;) text.append(buffer, static_cast<size_t>(got));
  ::close(pipe[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

// Returns the error of `RingHost::Create` in a child process after `prepare`.
template <class Prepare>
std::string MessageInChild(Prepare prepare) {
  return InChild([&]() -> std::string {
    if (!prepare()) return "not prepared";
    auto host = RingHost::Create(1024, SilentLogger());
    if (host) return "entries " + std::to_string(host.value()->ring().entries());
    return std::to_string(static_cast<int>(host.error().code())) + " " + host.error().message();
  });
}

std::string Expected(Errc code, const std::string& text) { return std::to_string(static_cast<int>(code)) + " " + text; }

}  // namespace

TEST_CASE("G9: a seccomp profile that refuses io_uring is named, with the remedy") {
  const std::string text = MessageInChild([] { return RefuseIoUring(EPERM); });
  CHECK(text ==
        Expected(Errc::kUnsupported,
                 "io_uring_setup: Operation not permitted: a seccomp profile refuses io_uring, as those of "
                 "containers do; allow io_uring_setup, io_uring_enter and io_uring_register in it (to try it out: "
                 "docker run --security-opt seccomp=unconfined)"));
}

TEST_CASE("G9: a kernel without io_uring is named, with the remedy") {
  const std::string text = MessageInChild([] { return RefuseIoUring(ENOSYS); });
  CHECK(text.starts_with(Expected(Errc::kUnsupported, "io_uring_setup: Function not implemented")));
  CHECK(text.find("Linux 5.19 or later") != std::string::npos);
}

TEST_CASE("G10: too little locked memory is named, with the remedy") {
  const std::string text = MessageInChild([] { return RefuseIoUring(ENOMEM); });
  CHECK(text.starts_with(Expected(Errc::kIo, "io_uring_setup: Cannot allocate memory")));
  CHECK(text.find("RLIMIT_MEMLOCK is too small even for 64 entries") != std::string::npos);
}

TEST_CASE("G14: submissions that the kernel refuses temporarily stay queued and go with the next ones") {
  for (int error : {EAGAIN, EBUSY, EINTR}) {
    CAPTURE(error);
    CHECK(InChild([&] { return SubmitWhileRefused(error); }) == "5 refused, 6 completed");
  }
}

}  // namespace ringraft::reactor
