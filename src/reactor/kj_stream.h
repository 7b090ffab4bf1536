// A kj::AsyncIoStream over a socket of the ring, for Cap'n Proto: it reads ahead, so that the header and the body of a
// message take one system call, and it gathers small writes until the end of the turn, so that the calls, replies and
// "finish" messages of one turn are sent together.
#pragma once

#include <kj/async-io.h>

#include <optional>

#include "coro/loop.h"
#include "reactor/io_buffer.h"
#include "reactor/iovec_cursor.h"
#include "reactor/socket.h"

namespace ringraft::reactor {

// Created, used and destroyed in turns. KJ's rules apply: one read and one write at a time; the memory that they refer
// to lives until their promise has ended or is dropped. Cancelling (dropping the promise): a read loses the bytes that
// it has already received; a write of which a part has been sent breaks the stream, and later writes fail.
class RingStream final : public kj::AsyncIoStream {
 public:
  static constexpr size_t kReadAhead = 16 * 1024;
  // Writes are gathered up to this many waiting bytes; a write beyond it is sent at once, after the gathered bytes.
  static constexpr size_t kMaxGathered = 32 * 1024;

  explicit RingStream(Socket socket);
  // Sends as many of the gathered bytes as the kernel takes without blocking.
  ~RingStream() noexcept(false);

  kj::Promise<size_t> tryRead(void* buffer, size_t min_bytes, size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  // Resolves when the connection is reset or closed in both directions. Cancelling stops the poll.
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;
  void abortRead() override;
  void getsockopt(int level, int option, void* value, kj::uint* length) override;
  void setsockopt(int level, int option, const void* value, kj::uint length) override;
  void getsockname(struct sockaddr* address, kj::uint* length) override;
  void getpeername(struct sockaddr* address, kj::uint* length) override;
  kj::Maybe<int> getFd() const override { return fd_->fd(); }

 private:
  class ReadAdapter;
  class WriteAdapter;
  class DisconnectAdapter;
  using Pieces = kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>>;
  using Cursor = IovecCursor<Pieces>;
  enum class Progress { kDone, kBlocked, kFailed };

  struct TurnEnd final : coro::TurnEndNode {
    explicit TurnEnd(RingStream& stream) : stream(stream) {}
    void OnTurnEnd() override { stream.Flush(); }
    RingStream& stream;
  };
  struct FlushWaiter final : PollWaiter {
    explicit FlushWaiter(RingStream& stream) : stream(stream) {}
    void OnPoll(int) override { stream.Flush(); }
    RingStream& stream;
  };

  Progress TryRead(char* buffer, size_t min_bytes, size_t max_bytes, size_t& got);
  size_t TakeAhead(char* buffer, size_t max_bytes);
  Progress Send(Cursor* cursor);
  void Flush();
  bool Gather(Pieces pieces, size_t size);
  size_t gathered() const { return gathered_end_ - gathered_begin_; }
  kj::Exception ReadError() const;
  kj::Exception WriteError() const;

  PolledFdRef fd_;
  IoBuffer ahead_;
  size_t ahead_begin_ = 0;
  size_t ahead_end_ = 0;
  int read_error_ = 0;

  IoBuffer gather_;
  size_t gathered_begin_ = 0;
  size_t gathered_end_ = 0;
  int write_error_ = 0;        // an errno, final
  bool is_broken_ = false;     // a partly sent write was cancelled
  bool is_shut_down_ = false;  // shutdownWrite was called; the socket is shut down once everything is sent
  WriteAdapter* writer_ = nullptr;
  TurnEnd turn_end_;
  FlushWaiter flush_;
};

}  // namespace ringraft::reactor
