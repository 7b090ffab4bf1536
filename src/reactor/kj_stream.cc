#include "reactor/kj_stream.h"

#include <kj/debug.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace ringraft::reactor {
namespace {

constexpr size_t kMaxVectors = 64;

kj::Exception SystemException(const char* call, int error) {
  const bool is_gone = error == EPIPE || error == ECONNRESET || error == ECONNABORTED || error == ETIMEDOUT ||
                       error == ENOTCONN || error == EHOSTUNREACH || error == ENETUNREACH || error == ENETDOWN;
  const auto type = is_gone ? kj::Exception::Type::DISCONNECTED : kj::Exception::Type::FAILED;
  return kj::Exception(type, __FILE__, __LINE__, kj::str(call, ": ", ::strerror(error)));
}

}  // namespace

// --- reading ---

class RingStream::ReadAdapter final : private PollWaiter {
 public:
  ReadAdapter(kj::PromiseFulfiller<size_t>& fulfiller, RingStream& stream, char* buffer, size_t min_bytes,
              size_t max_bytes, size_t got)
      : fulfiller_(fulfiller), stream_(stream), buffer_(buffer), min_(min_bytes), max_(max_bytes), got_(got) {
    StartPolling(*stream_.fd_, POLLIN);
  }

 private:
  void OnPoll(int) override {
    switch (stream_.TryRead(buffer_, min_, max_, got_)) {
      case Progress::kBlocked:
        StartPolling(*stream_.fd_, POLLIN);
        break;
      case Progress::kDone:
        fulfiller_.fulfill(kj::cp(got_));
        break;
      case Progress::kFailed:
        fulfiller_.reject(stream_.ReadError());
        break;
    }
  }

  kj::PromiseFulfiller<size_t>& fulfiller_;
  RingStream& stream_;
  char* const buffer_;
  const size_t min_;
  const size_t max_;
  size_t got_;
};

RingStream::RingStream(Socket socket)
    : fd_(socket.Release()), ahead_(kReadAhead), gather_(kMaxGathered), turn_end_(*this), flush_(*this) {
  RINGRAFT_ASSERT(fd_);
}

kj::Promise<size_t> RingStream::tryRead(void* buffer, size_t min_bytes, size_t max_bytes) {
  char* const bytes = static_cast<char*>(buffer);
  size_t got = 0;
  switch (TryRead(bytes, min_bytes, max_bytes, got)) {
    case Progress::kDone:
      return got;
    case Progress::kFailed:
      return ReadError();
    case Progress::kBlocked:
      break;
  }
  return kj::newAdaptedPromise<size_t, ReadAdapter>(*this, bytes, min_bytes, max_bytes, got);
}

size_t RingStream::TakeAhead(char* buffer, size_t max_bytes) {
  const size_t size = std::min(max_bytes, ahead_end_ - ahead_begin_);
  std::memcpy(buffer, ahead_.data() + ahead_begin_, size);
  ahead_begin_ += size;
  return size;
}

RingStream::Progress RingStream::TryRead(char* buffer, size_t min_bytes, size_t max_bytes, size_t& got) {
  while (true) {
    if (ahead_begin_ < ahead_end_) got += TakeAhead(buffer + got, max_bytes - got);
    if (got >= min_bytes || max_bytes == 0) return Progress::kDone;
    if (std::exchange(fd_->is_drained, false)) return Progress::kBlocked;
    // The caller's buffer first; bytes beyond it are read ahead.
    iovec vectors[2] = {{buffer + got, max_bytes - got}, {ahead_.data(), ahead_.size()}};
    const size_t room = vectors[0].iov_len + vectors[1].iov_len;
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = 2;
    const ssize_t result = ::recvmsg(fd_->fd(), &message, MSG_DONTWAIT);
    if (result < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Progress::kBlocked;
      read_error_ = errno;
      return Progress::kFailed;
    }
    if (result == 0) return Progress::kDone;  // the end: fewer than min_bytes
    const size_t received = static_cast<size_t>(result);
    fd_->is_drained = received < room;
    const size_t direct = std::min(received, vectors[0].iov_len);
    got += direct;
    ahead_begin_ = 0;
    ahead_end_ = received - direct;
  }
}

void RingStream::abortRead() { ::shutdown(fd_->fd(), SHUT_RD); }

kj::Exception RingStream::ReadError() const { return SystemException("recv", read_error_); }

// --- writing ---

// A write that waits for room in the socket.
class RingStream::WriteAdapter final {
 public:
  WriteAdapter(kj::PromiseFulfiller<void>& fulfiller, RingStream& stream, const Cursor& cursor)
      : fulfiller(fulfiller), cursor(cursor), stream_(stream) {
    stream_.writer_ = this;
  }
  ~WriteAdapter() {
    if (stream_.writer_ != this) return;
    stream_.writer_ = nullptr;
    stream_.is_broken_ |= cursor.is_begun();
  }

  kj::PromiseFulfiller<void>& fulfiller;
  Cursor cursor;

 private:
  RingStream& stream_;
};

kj::Promise<void> RingStream::write(const void* buffer, size_t size) {
  const kj::ArrayPtr<const kj::byte> piece(static_cast<const kj::byte*>(buffer), size);
  const Pieces pieces(&piece, 1);
  if (Gather(pieces, size)) return kj::READY_NOW;
  // The list of one piece must outlive this call.
  auto owned = kj::heapArray<kj::ArrayPtr<const kj::byte>>(1);
  owned[0] = piece;
  auto promise = write(owned.asPtr());
  return promise.attach(kj::mv(owned));
}

kj::Promise<void> RingStream::write(Pieces pieces) {
  KJ_REQUIRE(writer_ == nullptr, "another write is in progress");
  KJ_REQUIRE(!is_shut_down_, "write after shutdownWrite");
  if (write_error_ != 0 || is_broken_) return WriteError();
  size_t size = 0;
  for (const auto& piece : pieces) size += piece.size();
  if (Gather(pieces, size)) return kj::READY_NOW;
  Cursor cursor(pieces);
  if (!flush_.is_polling()) {
    switch (Send(&cursor)) {
      case Progress::kDone:
        return kj::READY_NOW;
      case Progress::kFailed:
        return WriteError();
      case Progress::kBlocked:
        flush_.StartPolling(*fd_, POLLOUT);
        break;
    }
  }
  return kj::newAdaptedPromise<void, WriteAdapter>(*this, cursor);
}

bool RingStream::Gather(Pieces pieces, size_t size) {
  if (writer_ != nullptr || is_shut_down_ || write_error_ != 0 || is_broken_) return false;
  if (gathered() + size > gather_.size()) return false;
  if (gathered_end_ + size > gather_.size()) {
    std::memmove(gather_.data(), gather_.data() + gathered_begin_, gathered());
    gathered_end_ = gathered();
    gathered_begin_ = 0;
  }
  for (const auto& piece : pieces) {
    if (piece.size() > 0) std::memcpy(gather_.data() + gathered_end_, piece.begin(), piece.size());
    gathered_end_ += piece.size();
  }
  if (!flush_.is_polling()) fd_->loop().AtTurnEnd(turn_end_);
  return true;
}

// Sends the gathered bytes, then the cursor's pieces.
RingStream::Progress RingStream::Send(Cursor* cursor) {
  while (true) {
    iovec vectors[kMaxVectors];
    size_t count = 0;
    if (gathered() > 0) {
      vectors[count++] = iovec{gather_.data() + gathered_begin_, gathered()};
    }
    if (cursor != nullptr) count += cursor->Fill(vectors + count, kMaxVectors - count);
    if (count == 0) return Progress::kDone;
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    const ssize_t result = ::sendmsg(fd_->fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Progress::kBlocked;
      write_error_ = errno;
      return Progress::kFailed;
    }
    size_t sent = static_cast<size_t>(result);
    const size_t from_gathered = std::min(sent, gathered());
    gathered_begin_ += from_gathered;
    sent -= from_gathered;
    if (gathered() == 0) gathered_begin_ = gathered_end_ = 0;
    if (sent > 0) cursor->Advance(sent);
  }
}

void RingStream::Flush() {
  if (write_error_ != 0) return;
  switch (Send(writer_ != nullptr ? &writer_->cursor : nullptr)) {
    case Progress::kBlocked:
      if (!flush_.is_polling()) flush_.StartPolling(*fd_, POLLOUT);
      return;
    case Progress::kDone:
      if (writer_ != nullptr) std::exchange(writer_, nullptr)->fulfiller.fulfill();
      break;
    case Progress::kFailed:
      gathered_begin_ = gathered_end_ = 0;
      if (writer_ != nullptr) std::exchange(writer_, nullptr)->fulfiller.reject(WriteError());
      break;
  }
  if (is_shut_down_) ::shutdown(fd_->fd(), SHUT_WR);
}

void RingStream::shutdownWrite() {
  KJ_REQUIRE(writer_ == nullptr, "shutdownWrite during a write");
  is_shut_down_ = true;
  if (!flush_.is_polling()) Flush();
}

RingStream::~RingStream() noexcept(false) {
  if (gathered() > 0 && write_error_ == 0 && !is_broken_) Send(nullptr);
  // A poll in flight, for this stream or for a reader that is dropped later, would keep the socket open.
  ::shutdown(fd_->fd(), SHUT_RDWR);
}

kj::Exception RingStream::WriteError() const {
  if (write_error_ != 0) return SystemException("send", write_error_);
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str("an earlier write was cancelled after a part of it had been sent"));
}

// --- the rest ---

class RingStream::DisconnectAdapter final : private PollWaiter {
 public:
  DisconnectAdapter(kj::PromiseFulfiller<void>& fulfiller, PolledFdRef fd) : fulfiller_(fulfiller), fd_(std::move(fd)) {
    StartPolling(*fd_, 0);  // POLLHUP and POLLERR are always reported
  }

 private:
  void OnPoll(int) override { fulfiller_.fulfill(); }
  kj::PromiseFulfiller<void>& fulfiller_;
  PolledFdRef fd_;
};

kj::Promise<void> RingStream::whenWriteDisconnected() { return kj::newAdaptedPromise<void, DisconnectAdapter>(fd_); }

void RingStream::getsockopt(int level, int option, void* value, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getsockopt(fd_->fd(), level, option, value, &size));
  *length = size;
}

void RingStream::setsockopt(int level, int option, const void* value, kj::uint length) {
  KJ_SYSCALL(::setsockopt(fd_->fd(), level, option, value, length));
}

void RingStream::getsockname(struct sockaddr* address, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getsockname(fd_->fd(), address, &size));
  *length = size;
}

void RingStream::getpeername(struct sockaddr* address, kj::uint* length) {
  socklen_t size = *length;
  KJ_SYSCALL(::getpeername(fd_->fd(), address, &size));
  *length = size;
}

}  // namespace ringraft::reactor
