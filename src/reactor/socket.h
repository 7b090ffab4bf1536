// A TCP socket for coroutines, on the ring:
//
//   auto read = socket.Read(buffer);
//   auto got = co_await read;          // Result<size_t>; 0: the peer has shut down its side
//
// Each operation first tries the non-blocking system call and polls only if that would block, so the kernel never holds
// a caller's buffer: cancelling is safe at any time, and then the buffer may be freed. The awaiters allocate nothing.
#pragma once

#include <coroutine>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "coro/loop.h"
#include "reactor/iovec_cursor.h"
#include "reactor/poller.h"
#include "reactor/resolve.h"
#include "ringraft/errc.h"
#include "ringraft/task.h"

namespace ringraft::reactor {

// The common part of this file's awaiters: the suspended coroutine and the retry. A socket has at most one read (or
// accept) and one write at a time.
class SocketAwaiter : protected PollWaiter {
 public:
  SocketAwaiter(PolledFdRef fd, uint32_t events) : fd_(std::move(fd)), events_(events) {}

  bool await_ready();
  void await_suspend(std::coroutine_handle<> caller);

 protected:
  ~SocketAwaiter() { Release(); }
  // Tries once; returns false if it would block. The derived class keeps the result or error.
  virtual bool Try() = 0;
  // Ensures that Try is called again when it may succeed.
  virtual void Arm() { StartPolling(*fd_, events_); }
  void Release();
  bool is_closed() const { return !fd_; }
  void Finish();  // makes the coroutine ready

  PolledFdRef fd_;
  coro::ReadyNode node_;

 private:
  void OnPoll(int events) override;

  const uint32_t events_;
  bool is_busy_ = false;  // is the socket's one reader or writer
  bool is_done_ = false;
};

class [[nodiscard]] ReadAwaiter final : public SocketAwaiter {
 public:
  ReadAwaiter(PolledFdRef fd, std::span<char> buffer) : SocketAwaiter(std::move(fd), POLLIN), buffer_(buffer) {}
  // At least one byte; 0 at the end of the stream. Errors: kIo, kStopped if the socket was closed before. Cancelling
  // loses no bytes.
  Result<size_t> await_resume();

 private:
  bool Try() override;
  std::span<char> buffer_;
  size_t size_ = 0;
  int error_ = 0;
};

class [[nodiscard]] WriteAwaiter final : public SocketAwaiter {
 public:
  using Pieces = std::span<const std::string_view>;
  WriteAwaiter(PolledFdRef fd, Pieces pieces) : SocketAwaiter(std::move(fd), POLLOUT), cursor_(pieces) {}
  WriteAwaiter(PolledFdRef fd, std::string_view piece)
      : SocketAwaiter(std::move(fd), POLLOUT), single_(piece), cursor_(Pieces(&single_, 1)) {}
  // The kernel has taken all bytes, or an error: kIo, kStopped. After an error, or after cancelling while it waited, an
  // unknown part has been sent, and the stream must be closed.
  Result<void> await_resume();

 private:
  bool Try() override;
  std::string_view single_;
  IovecCursor<Pieces> cursor_;
  int error_ = 0;
};

// Move-only; the last owner closes it. Closing while another coroutine waits ends its operation: a read returns the end
// of the stream, a write an error.
class Socket {
 public:
  Socket() noexcept = default;
  // Takes ownership of a connected, non-blocking descriptor.
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
  // Precondition: the memory that they refer to outlives the awaiter.
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
  // Retries later if the process is out of descriptors or memory. Errors: kStopped after Close, kIo. Cancelling leaves
  // the next connection in the backlog.
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

  // Binds the address and listens. Returns 0 or an errno.
  static int Bind(Poller& poller, const SocketAddress& address, Listener& bound);

  explicit operator bool() const { return static_cast<bool>(fd_); }
  AcceptAwaiter Accept() { return AcceptAwaiter(fd_); }
  void Close();            // frees the port at once; a waiting Accept ends with kStopped
  // Length 0 if it is closed.
  SocketAddress BoundTo() const;
  Addr BoundAddr() const;  // with the port that the kernel chose for port 0

 private:
  explicit Listener(PolledFdRef fd) noexcept : fd_(std::move(fd)) {}
  PolledFdRef fd_;
};

// Sends small writes at once. Fails on sockets other than TCP, which is harmless.
void SetNoDelay(int fd);

// "1.2.3.4:5" or "[::1]:5".
std::string ToString(const SocketAddress& address);

}  // namespace ringraft::reactor
