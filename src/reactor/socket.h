// A TCP socket for coroutines, on the ring:
//
//   auto read = socket.Read(buffer);
//   auto got = co_await read;          // Result<size_t>; 0: the other side has finished
//
// Each operation first tries the non-blocking system call and polls only if that would block, so the kernel never holds
// a caller's buffer; dropping an awaiter, at any time, is safe. The awaiters allocate nothing.
#pragma once

#include <sys/uio.h>

#include <coroutine>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "coro/loop.h"
#include "reactor/poller.h"
#include "reactor/resolve.h"
#include "ringraft/errc.h"
#include "ringraft/task.h"

namespace ringraft::reactor {

// What the awaiters of this file share: the suspended coroutine and the retry. One read (or accept) and one write at a
// time per socket.
class SocketAwaiter : protected PollWaiter {
 public:
  SocketAwaiter(PolledFdRef fd, uint32_t events) : fd_(std::move(fd)), events_(events) {}

  bool await_ready();
  void await_suspend(std::coroutine_handle<> caller);

 protected:
  ~SocketAwaiter() { Release(); }
  // Tries once; false if it would block. Errors and results are kept by the derived class.
  virtual bool Try() = 0;
  // Sees to it that Try is called again when it may succeed.
  virtual void Arm() { StartPolling(*fd_, events_); }
  void Release();
  bool is_closed() const { return !fd_; }
  void Finish();  // makes the coroutine ready

  PolledFdRef fd_;
  coro::ReadyNode node_;

 private:
  void OnPoll(int events) override;

  const uint32_t events_;
  bool is_busy_ = false;  // holds the socket's place for a reader or writer
  bool is_done_ = false;
};

class [[nodiscard]] ReadAwaiter final : public SocketAwaiter {
 public:
  ReadAwaiter(PolledFdRef fd, std::span<char> buffer) : SocketAwaiter(std::move(fd), POLLIN), buffer_(buffer) {}
  // At least one byte; 0 at the end of the stream. Errors: kIo, kStopped if the socket was closed before.
  Result<size_t> await_resume();

 private:
  bool Try() override;
  std::span<char> buffer_;
  size_t size_ = 0;
  int error_ = 0;
};

class [[nodiscard]] WriteAwaiter final : public SocketAwaiter {
 public:
  WriteAwaiter(PolledFdRef fd, std::span<const std::string_view> pieces)
      : SocketAwaiter(std::move(fd), POLLOUT), pieces_(pieces) {}
  WriteAwaiter(PolledFdRef fd, std::string_view piece)
      : SocketAwaiter(std::move(fd), POLLOUT), single_(piece), pieces_(&single_, 1) {}
  // Everything has been handed to the kernel, or an error: kIo, kStopped. After an error, or if the awaiter was dropped
  // while it waited, an unknown part has been sent and the stream is of no more use.
  Result<void> await_resume();

 private:
  bool Try() override;
  std::string_view single_;
  std::span<const std::string_view> pieces_;
  size_t piece_ = 0;   // the first that is not sent completely
  size_t offset_ = 0;  // what has been sent of it
  int error_ = 0;
};

// Move-only; the last owner closes it. Closing while another coroutine waits ends that one's operation: with an end of
// stream for a read, with an error for a write.
class Socket {
 public:
  Socket() noexcept = default;
  // Takes over a connected, non-blocking descriptor.
  Socket(Poller& poller, int fd) : fd_(new PolledFd(poller, fd)) {}
  explicit Socket(PolledFdRef fd) noexcept : fd_(std::move(fd)) {}
  Socket(Socket&&) noexcept = default;
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ~Socket() { Close(); }

  explicit operator bool() const { return static_cast<bool>(fd_); }
  // What they refer to must live until the awaiter is gone.
  ReadAwaiter Read(std::span<char> buffer) { return ReadAwaiter(fd_, buffer); }
  WriteAwaiter Write(std::span<const std::string_view> pieces) { return WriteAwaiter(fd_, pieces); }
  WriteAwaiter Write(std::string_view bytes) { return WriteAwaiter(fd_, bytes); }

  void ShutdownWrite();
  void Close();
  int fd() const { return fd_ ? fd_->fd() : -1; }
  std::string PeerText() const;  // "1.2.3.4:5", for messages
  PolledFdRef Release() { return std::move(fd_); }

 private:
  PolledFdRef fd_;
};

class [[nodiscard]] AcceptAwaiter final : public SocketAwaiter {
 public:
  explicit AcceptAwaiter(PolledFdRef fd) : SocketAwaiter(std::move(fd), POLLIN), retry_(*this) {}
  ~AcceptAwaiter();
  // Waits for better times if the process has no descriptors or memory left. Errors: kStopped after Close, kIo.
  Result<Socket> await_resume();

 private:
  struct Retry final : coro::TimerNode {
    explicit Retry(AcceptAwaiter& awaiter) : awaiter(awaiter) {}
    void OnTimer() override;
    AcceptAwaiter& awaiter;
  };
  bool Try() override;
  void Arm() override {
    if (!retry_.is_scheduled()) SocketAwaiter::Arm();
  }
  int accepted_ = -1;
  int error_ = 0;
  Retry retry_;
};

class Listener {
 public:
  Listener() noexcept = default;
  Listener(Listener&&) noexcept = default;
  Listener& operator=(Listener&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ~Listener() { Close(); }

  // Names are resolved on the spot, which may block: listen on a numeric address. Errors: kIo that names the address,
  // the cause and the remedy; kInvalidArgument.
  static Result<Listener> Listen(Poller& poller, const Addr& addr);

  explicit operator bool() const { return static_cast<bool>(fd_); }
  AcceptAwaiter Accept() { return AcceptAwaiter(fd_); }
  void Close();            // frees the port at once; an Accept that waits ends with kStopped
  Addr BoundAddr() const;  // with the port that the kernel has chosen for port 0

 private:
  explicit Listener(PolledFdRef fd) noexcept : fd_(std::move(fd)) {}
  PolledFdRef fd_;
};

// Connects to the first address that answers before the deadline. TCP, no delay. Errors: kUnreachable, kTimedOut, kIo;
// they name `addr`.
Task<Result<Socket>> ConnectTo(Poller& poller, Addr addr, std::vector<SocketAddress> addresses, TimePoint deadline);

// "1.2.3.4:5" or "[::1]:5".
std::string ToString(const SocketAddress& address);

}  // namespace ringraft::reactor
