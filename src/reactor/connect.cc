#include "reactor/connect.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/format.h"
#include "coro/scope.h"
#include "coro/signal.h"

namespace ringraft::reactor {
namespace {

// RFC 8305, section 8: the Connection Attempt Delay. It is shorter where not every address would have its turn within
// the first half of the time.
constexpr Duration kAttemptDelay = std::chrono::milliseconds(250);
constexpr Duration kMinAttemptDelay = std::chrono::milliseconds(10);

// Waits until a connect in progress has ended, or until the deadline. Cancelling stops the poll and the timer.
class ConnectAwaiter final : private PollWaiter, private coro::TimerNode {
 public:
  ConnectAwaiter(PolledFdRef fd, TimePoint deadline) : fd_(std::move(fd)), deadline_(deadline) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    StartPolling(*fd_, POLLOUT);
    if (deadline_ != TimePoint::max()) fd_->loop().Schedule(*this, deadline_);
  }
  // Returns 0 or an errno; ETIMEDOUT if the deadline came first.
  int await_resume() const {
    if (has_timed_out_) return ETIMEDOUT;
    int error = 0;
    socklen_t length = sizeof(error);
    if (::getsockopt(fd_->fd(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
    return error;
  }

 private:
  void OnPoll(int) override {
    fd_->loop().Cancel(*this);
    fd_->loop().MakeReady(node_);
  }
  void OnTimer() override {
    has_timed_out_ = true;
    StopPolling();
    fd_->loop().MakeReady(node_);
  }

  PolledFdRef fd_;
  TimePoint deadline_;
  bool has_timed_out_ = false;
  coro::ReadyNode node_;
};

Error ConnectError(const Addr& addr, int error) {
  if (error == ETIMEDOUT)
    return Error(Errc::kTimedOut, fmt::format("cannot connect to {}: no response in time", addr));
  if (error == EMFILE || error == ENFILE) {
    return Error(Errc::kIo, fmt::format("cannot connect to {}: {}; raise RLIMIT_NOFILE (ulimit -n)", addr,
                                        std::strerror(error)));
  }
  return Error(Errc::kUnreachable, fmt::format("cannot connect to {}: {}", addr, std::strerror(error)));
}

// The attempts at one peer. Lives in the coroutine that waits for them.
struct Race {
  explicit Race(coro::Loop& loop) : changed(loop) {}
  coro::Signal changed;
  size_t running = 0;
  bool may_start = true;  // the next one: the last one has failed
  Socket winner;
  int error = EHOSTUNREACH;  // of the last one that failed
};

Task<void> Attempt(Poller& poller, SocketAddress address, TimePoint deadline, Race& race) {
  ++race.running;
  int error = 0;
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    error = errno;
  } else {
    PolledFdRef owned(new PolledFd(poller, fd));
    error = ::connect(fd, address.get(), address.length) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      ConnectAwaiter connecting(owned, deadline);
      error = co_await connecting;
    }
    if (error == 0 && !race.winner) {
      SetNoDelay(fd);
      race.winner = Socket(std::move(owned));
    }
  }
  --race.running;
  if (error != 0) {
    race.error = error;
    race.may_start = true;
  }
  race.changed.Notify();
}

Duration AttemptDelay(Duration time, size_t addresses) {
  return std::clamp(time / 2 / static_cast<int>(addresses + 1), kMinAttemptDelay, kAttemptDelay);
}

// Section 4: families in turn, beginning with that of the first address, which the system prefers.
SocketAddresses Interleave(const SocketAddresses& addresses) {
  SocketAddresses preferred, others, mixed;
  for (const SocketAddress& address : addresses)
    (address.family() == addresses.front().family() ? preferred : others).push_back(address);
  for (size_t i = 0; i < std::max(preferred.size(), others.size()); ++i) {
    if (i < preferred.size()) mixed.push_back(preferred[i]);
    if (i < others.size()) mixed.push_back(others[i]);
  }
  return mixed;
}

bool IsSame(const SocketAddress& a, const SocketAddress& b) {
  return a.length == b.length && std::memcmp(&a.storage, &b.storage, a.length) == 0;
}

SocketAddresses WithoutDuplicates(const SocketAddresses& addresses) {
  SocketAddresses kept;
  for (const SocketAddress& address : addresses) {
    const auto is_same = [&address](const SocketAddress& other) { return IsSame(address, other); };
    if (std::none_of(kept.begin(), kept.end(), is_same)) kept.push_back(address);
  }
  return kept;
}

Error ListenError(const Addr& addr, int error) {
  const char* remedy = "choose an address of this machine";
  if (error == EADDRINUSE) remedy = "stop the other process or choose another port";
  if (error == EACCES) remedy = "choose a port of at least 1024 or give the process CAP_NET_BIND_SERVICE";
  if (error == EMFILE || error == ENFILE) remedy = "raise RLIMIT_NOFILE (ulimit -n)";
  return Error(Errc::kIo, fmt::format("cannot listen on {}: {}; {}", addr, std::strerror(error), remedy));
}

void SetPort(SocketAddress& address, in_port_t port) {
  if (address.family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = port;
  } else {
    reinterpret_cast<sockaddr_in&>(address.storage).sin_port = port;
  }
}

in_port_t PortOf(const SocketAddress& address) {
  return address.family() == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_port
                                      : reinterpret_cast<const sockaddr_in&>(address.storage).sin_port;
}

}  // namespace

Task<Result<Socket>> ConnectTo(Poller& poller, Addr addr, SocketAddresses addresses, TimePoint deadline) {
  coro::Loop& loop = poller.loop();
  const SocketAddresses in_order = Interleave(WithoutDuplicates(addresses));
  Race race(loop);
  coro::Scope attempts(loop);
  const Duration delay = AttemptDelay(deadline - loop.Now(), in_order.size());
  TimePoint next_at = TimePoint::min();
  for (size_t next = 0; !race.winner;) {
    if (next < in_order.size() && (race.may_start || loop.Now() >= next_at)) {
      race.may_start = false;
      next_at = loop.Now() + delay;
      attempts.Start(Attempt(poller, in_order[next++], deadline, race));
      continue;
    }
    if (race.running == 0) co_return ConnectError(addr, race.error);
    auto changed = race.changed.WaitUntil(next < in_order.size() ? next_at : TimePoint::max());
    co_await changed;
  }
  co_return std::move(race.winner);
}

Result<std::vector<Listener>> ListenOnAll(Poller& poller, const Addr& addr, const SocketAddresses& addresses) {
  std::vector<Listener> listeners;
  int left_out = EADDRNOTAVAIL;
  for (SocketAddress address : WithoutDuplicates(addresses)) {
    if (PortOf(address) == 0 && !listeners.empty()) SetPort(address, PortOf(listeners.front().BoundTo()));
    Listener listener;
    const int error = Listener::Bind(poller, address, listener);
    if (error == 0) {
      listeners.push_back(std::move(listener));
    } else if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT) {
      left_out = error;
    } else {
      return ListenError(addr, error);
    }
  }
  if (listeners.empty()) return ListenError(addr, left_out);
  return listeners;
}

}  // namespace ringraft::reactor
