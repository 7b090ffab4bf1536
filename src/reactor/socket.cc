#include "reactor/socket.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"

namespace ringraft::reactor {
namespace {

// Operations that may complete in a row without going through the ready queue: a fast peer must not starve other
// coroutines.
constexpr unsigned kMaxImmediate = 32;
constexpr size_t kMaxPieces = 64;  // in one sendmsg
constexpr Duration kAcceptRetry = std::chrono::milliseconds(20);

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

Error SystemError(const char* call, int error) {
  return Error(Errc::kIo, fmt::format("{}: {}", call, std::strerror(error)));
}

Error ClosedError() { return Error(Errc::kStopped, "the socket is closed"); }

}  // namespace

void SetNoDelay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// --- awaiters ---

bool SocketAwaiter::await_ready() {
  if (is_closed()) return true;
  bool& is_taken = events_ == POLLIN ? fd_->has_reader : fd_->has_writer;
  RINGRAFT_ASSERT(!is_taken);  // otherwise two reads, or two writes, at a time
  is_taken = true;
  is_busy_ = true;
  if (!Try()) return false;
  is_done_ = true;
  return ++fd_->immediate <= kMaxImmediate;
}

void SocketAwaiter::await_suspend(std::coroutine_handle<> caller) {
  node_.handle = caller;
  fd_->immediate = 0;
  if (is_done_) {
    Finish();
  } else {
    Arm();
  }
}

void SocketAwaiter::OnPoll(int) {
  // The system call reports best what the events mean, errors included.
  if (Try()) {
    Finish();
  } else {
    Arm();
  }
}

void SocketAwaiter::Finish() {
  is_done_ = true;
  fd_->loop().MakeReady(node_);
}

void SocketAwaiter::Release() {
  if (!is_busy_) return;
  is_busy_ = false;
  (events_ == POLLIN ? fd_->has_reader : fd_->has_writer) = false;
}

bool ReadAwaiter::Try() {
  if (std::exchange(fd_->is_drained, false)) return false;
  while (true) {
    const ssize_t got = ::recv(fd_->fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got >= 0) {
      size_ = static_cast<size_t>(got);
      // A short read has emptied the socket: polling first saves a call that would only return EAGAIN.
      fd_->is_drained = got > 0 && size_ < buffer_.size();
      return true;
    }
    if (errno == EINTR) continue;
    if (WouldBlock(errno)) return false;
    error_ = errno;
    return true;
  }
}

Result<size_t> ReadAwaiter::await_resume() {
  if (is_closed()) return ClosedError();
  Release();
  if (error_ != 0) return SystemError("recv", error_);
  return size_;
}

bool WriteAwaiter::Try() {
  while (true) {
    iovec vectors[kMaxPieces];
    const size_t count = cursor_.Fill(vectors, kMaxPieces);
    if (count == 0) return true;
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t result = ::sendmsg(fd_->fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0) {
      if (errno == EINTR) continue;
      if (WouldBlock(errno)) return false;
      error_ = errno;
      return true;
    }
    cursor_.Advance(static_cast<size_t>(result));
  }
}

Result<void> WriteAwaiter::await_resume() {
  if (is_closed()) return ClosedError();
  Release();
  if (error_ != 0) return SystemError("send", error_);
  return Success();
}

AcceptAwaiter::~AcceptAwaiter() {
  if (accepted_ >= 0) ::close(accepted_);
}

bool AcceptAwaiter::Try() {
  while (true) {
    accepted_ = ::accept4(fd_->fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted_ >= 0) return true;
    switch (errno) {
      case EINTR:
      case ECONNABORTED:  // closed by the peer before it was accepted
      case EPROTO:
        continue;
      case EAGAIN:
        return false;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        // The connection stays in the backlog, so a poll would return at once: retry later.
        fd_->loop().Schedule(retry_, fd_->loop().Now() + kAcceptRetry);
        return false;
      default:
        error_ = errno;
        return true;
    }
  }
}

void AcceptAwaiter::Retry::OnTimer() {
  if (awaiter.Try()) {
    awaiter.Finish();
  } else {
    awaiter.Arm();
  }
}

Result<Socket> AcceptAwaiter::await_resume() {
  if (is_closed()) return ClosedError();
  Release();
  if (error_ == EINVAL) return ClosedError();  // shut down by Listener::Close
  if (error_ != 0) return SystemError("accept", error_);
  SetNoDelay(accepted_);
  return Socket(fd_->poller(), std::exchange(accepted_, -1));
}

// --- Socket ---

void Socket::ShutdownWrite() {
  if (fd_) ::shutdown(fd_->fd(), SHUT_WR);
}

void Socket::Close() {
  if (!fd_) return;
  // An operation in flight keeps the socket open in the kernel: without a shutdown the peer would not see the end.
  if (fd_->has_reader || fd_->has_writer) ::shutdown(fd_->fd(), SHUT_RDWR);
  fd_ = PolledFdRef();
}

std::string Socket::PeerText() const {
  SocketAddress address;
  address.length = sizeof(address.storage);
  sockaddr* pointer = reinterpret_cast<sockaddr*>(&address.storage);
  if (!fd_ || ::getpeername(fd_->fd(), pointer, &address.length) != 0) return "(not connected)";
  return ToString(address);
}

std::string ToString(const SocketAddress& address) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (::getnameinfo(address.get(), address.length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "(unknown)";
  }
  return address.family() == AF_INET6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

// --- Listener ---

int Listener::Bind(Poller& poller, const SocketAddress& address, Listener& bound) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  PolledFdRef owned(new PolledFd(poller, fd));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd, address.get(), address.length) != 0) return errno;
  if (::listen(fd, SOMAXCONN) != 0) return errno;
  bound = Listener(std::move(owned));
  return 0;
}

void Listener::Close() {
  if (!fd_) return;
  ::shutdown(fd_->fd(), SHUT_RDWR);  // frees the port even if a poll is in flight
  fd_ = PolledFdRef();
}

SocketAddress Listener::BoundTo() const {
  SocketAddress address;
  address.length = sizeof(address.storage);
  sockaddr* pointer = reinterpret_cast<sockaddr*>(&address.storage);
  if (!fd_ || ::getsockname(fd_->fd(), pointer, &address.length) != 0) return SocketAddress();
  return address;
}

Addr Listener::BoundAddr() const {
  const SocketAddress address = BoundTo();
  return address.length > 0 ? Addr(ToString(address)) : Addr();
}

}  // namespace ringraft::reactor
