#include "signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace ringraft::bench {
namespace {

sigset_t Awaited() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGCHLD);
  return set;
}

}  // namespace

Result<std::unique_ptr<Signals>> Signals::Create() {
  const sigset_t set = Awaited();
  signal(SIGPIPE, SIG_IGN);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return Error(Errc::kIo, "blocking signals failed");
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return Error(Errc::kIo, std::string("signalfd: ") + std::strerror(errno));
  return std::unique_ptr<Signals>(new Signals(fd));
}

Signals::~Signals() { close(fd_); }

void Signals::Unblock() {
  const sigset_t set = Awaited();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool Signals::Wait(Duration max_wait, int fd) {
  const auto wait_ns = std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(max_wait).count());
  const timespec timeout{.tv_sec = wait_ns / 1'000'000'000, .tv_nsec = wait_ns % 1'000'000'000};
  pollfd ready[2] = {{fd_, POLLIN, 0}, {fd, POLLIN, 0}};
  if (ppoll(ready, fd >= 0 ? 2 : 1, &timeout, nullptr) <= 0) return false;
  signalfd_siginfo info;
  while (read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGCHLD) is_asked_to_stop_ = true;
  }
  return fd >= 0 && ready[1].revents != 0;
}

}  // namespace ringraft::bench
