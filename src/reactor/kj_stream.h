// A kj::AsyncIoStream over a socket of the ring, made for Cap'n Proto: it reads ahead, so that a message's header and
// body take one system call, and it gathers small writes until the end of the turn, so that a call, the answers and the
// "finish" messages of one turn go out together.
#pragma once

#include <kj/async-io.h>

#include <optional>

#include "reactor/io_buffer.h"
#include "coro/loop.h"
#include "reactor/socket.h"

namespace ringraft::reactor {

// Created, used and destroyed in turns. KJ's rules hold: one read and one write at a time; what they refer to lives
// until their promise is done or dropped. A write that was dropped when a part of it had been sent breaks the stream.
class RingStream final : public kj::AsyncIoStream {
 public:
  static constexpr size_t kReadAhead = 16 * 1024;
  // A write is gathered while no more than this waits; larger ones are sent at once, with what was gathered before
  // them.
  static constexpr size_t kMaxGathered = 32 * 1024;

  explicit RingStream(Socket socket);
  // Hands what was gathered to the kernel as far as it takes it.
  ~RingStream() noexcept(false);

  kj::Promise<size_t> tryRead(void* buffer, size_t min_bytes, size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  // Resolves when the connection is reset or closed in both directions.
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
  enum class Progress { kDone, kBlocked, kFailed };

  // Where a write stands.
  struct Cursor {
    Pieces pieces;
    size_t piece = 0;
    size_t offset = 0;  // in pieces[piece]
    bool is_begun = false;
    void Advance(size_t bytes);
    size_t Fill(struct iovec* vectors, size_t room) const;
  };
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
  int write_error_ = 0;        // final
  bool is_broken_ = false;     // a write was dropped in its middle
  bool is_shut_down_ = false;  // shutdownWrite was called; done as soon as everything is sent
  WriteAdapter* writer_ = nullptr;
  TurnEnd turn_end_;
  FlushWaiter flush_;
};

}  // namespace ringraft::reactor
