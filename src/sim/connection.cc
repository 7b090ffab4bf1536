#include "sim/connection.h"

#include <kj/vector.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ringraft::sim {
namespace {

constexpr size_t kSocketBuffer = 256 * 1024;  // sent and not read; writes beyond it wait

kj::Exception Disconnected(const char* what) {
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::heapString(what));
}

}  // namespace

// --- the stream of one end ---

class SimStream final : public kj::AsyncIoStream {
 public:
  SimStream(std::shared_ptr<SimConnection> connection, size_t end)
      : connection_(std::move(connection)), end_(end), host_(*connection_->ends[end].host), turn_end_(*this) {
    connection_->ends[end].stream = this;
    connection_->ends[end].was_open = true;
  }
  ~SimStream() noexcept(false) {
    connection_->ends[end_].stream = nullptr;
    if (host_.is_crashed()) return;
    Flush();
    if (!is_reset_) connection_->Send(end_, SimConnection::Packet{SimConnection::Kind::kEnd, {}});
    connection_->CloseIfOver();
  }

  kj::Promise<size_t> tryRead(void* buffer, size_t min_bytes, size_t max_bytes) override {
    Read read{static_cast<char*>(buffer), min_bytes, max_bytes, 0};
    if (Fill(read)) return read.got;
    if (is_reset_) return Disconnected("connection reset");
    return kj::newAdaptedPromise<size_t, ReadAdapter>(*this, read);
  }

  kj::Promise<void> write(const void* buffer, size_t size) override {
    const kj::ArrayPtr<const kj::byte> piece(static_cast<const kj::byte*>(buffer), size);
    return write(kj::arrayPtr(&piece, 1));
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (is_reset_) return Disconnected("connection reset");
    if (host_.is_crashed()) return kj::READY_NOW;
    for (auto piece : pieces) out_.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
    host_.loop().AtTurnEnd(turn_end_);
    if (connection_->pipes[end_].unread + out_.size() <= kSocketBuffer) return kj::READY_NOW;
    return kj::newAdaptedPromise<void, WriteAdapter>(*this);
  }
  kj::Promise<void> whenWriteDisconnected() override {
    if (is_reset_) return kj::READY_NOW;
    auto paf = kj::newPromiseAndFulfiller<void>();
    on_disconnect_.add(kj::mv(paf.fulfiller));
    return kj::mv(paf.promise);
  }
  void shutdownWrite() override {
    Flush();
    if (!host_.is_crashed()) connection_->Send(end_, SimConnection::Packet{SimConnection::Kind::kEnd, {}});
  }
  void abortRead() override { has_ended_ = true; }

  // In a turn of the host.
  void OnPacket(SimConnection::Packet packet) {
    if (is_reset_) return;
    switch (packet.kind) {
      case SimConnection::Kind::kData:
        in_.append(packet.bytes);
        break;
      case SimConnection::Kind::kEnd:
        has_ended_ = true;
        break;
      case SimConnection::Kind::kReset:
        OnReset();
        return;
    }
    if (reader_ != nullptr && Fill(reader_->read)) {
      ReadAdapter* reader = std::exchange(reader_, nullptr);
      reader->fulfiller.fulfill(kj::cp(reader->read.got));
    }
  }
  void OnRoom() {
    if (writer_ == nullptr || connection_->pipes[end_].unread > kSocketBuffer / 2) return;
    std::exchange(writer_, nullptr)->fulfiller.fulfill();
  }

 private:
  struct Read {
    char* to;
    size_t least;
    size_t most;
    size_t got;
  };
  class ReadAdapter {
   public:
    ReadAdapter(kj::PromiseFulfiller<size_t>& fulfiller, SimStream& stream, Read read)
        : fulfiller(fulfiller), read(read), stream_(stream) {
      stream.reader_ = this;
    }
    ~ReadAdapter() {
      if (stream_.reader_ == this) stream_.reader_ = nullptr;
    }
    kj::PromiseFulfiller<size_t>& fulfiller;
    Read read;

   private:
    SimStream& stream_;
  };
  class WriteAdapter {
   public:
    WriteAdapter(kj::PromiseFulfiller<void>& fulfiller, SimStream& stream) : fulfiller(fulfiller), stream_(stream) {
      stream.writer_ = this;
    }
    ~WriteAdapter() {
      if (stream_.writer_ == this) stream_.writer_ = nullptr;
    }
    kj::PromiseFulfiller<void>& fulfiller;

   private:
    SimStream& stream_;
  };
  struct TurnEnd final : coro::TurnEndNode {
    explicit TurnEnd(SimStream& stream) : stream(stream) {}
    void OnTurnEnd() override { stream.Flush(); }
    SimStream& stream;
  };

  // Returns whether the read is done.
  bool Fill(Read& read) {
    const size_t take = std::min(read.most - read.got, in_.size() - in_begin_);
    std::memcpy(read.to + read.got, in_.data() + in_begin_, take);
    in_begin_ += take;
    read.got += take;
    if (in_begin_ == in_.size()) {
      in_.clear();
      in_begin_ = 0;
    }
    if (take > 0) connection_->OnRead(end_, take);
    return read.got >= read.least || has_ended_;
  }

  void Flush() {
    if (out_.empty() || is_reset_ || host_.is_crashed()) return;
    connection_->Send(end_, SimConnection::Packet{SimConnection::Kind::kData, std::move(out_)});
    out_.clear();
  }

  void OnReset() {
    is_reset_ = true;
    if (reader_ != nullptr) std::exchange(reader_, nullptr)->fulfiller.reject(Disconnected("connection reset"));
    if (writer_ != nullptr) std::exchange(writer_, nullptr)->fulfiller.reject(Disconnected("connection reset"));
    for (auto& fulfiller : on_disconnect_) fulfiller->fulfill();
    on_disconnect_.clear();
  }

  const std::shared_ptr<SimConnection> connection_;
  const size_t end_;
  SimHost& host_;
  std::string in_;
  size_t in_begin_ = 0;
  std::string out_;
  bool has_ended_ = false;
  bool is_reset_ = false;
  ReadAdapter* reader_ = nullptr;
  WriteAdapter* writer_ = nullptr;
  kj::Vector<kj::Own<kj::PromiseFulfiller<void>>> on_disconnect_;
  TurnEnd turn_end_;
};

kj::Own<kj::AsyncIoStream> SimConnection::Open(size_t end) { return kj::heap<SimStream>(shared_from_this(), end); }

// --- packets ---

void SimConnection::Send(size_t sender, Packet packet) {
  if (!packet.bytes.empty()) owner_.OnSend(ends[sender].address, ends[1 - sender].address, packet.bytes);
  pipes[sender].unread += packet.bytes.size();
  Random& random = links_.world().random();
  if (packet.kind == Kind::kReset) {
    const bool is_ahead = random.Chance(0.5);
    return is_ahead ? Overtake(sender, std::move(packet)) : Schedule(sender, std::move(packet));
  }
  Nanos delay = 0;
  const bool is_cut = is_ending_in_message_ && packet.bytes.size() > 1;
  if (is_cut || (packet.bytes.size() > 1 && random.Chance(links_.faults().tear))) {
    const size_t cut = static_cast<size_t>(random.Between(1, packet.bytes.size() - 1));
    Schedule(sender, Packet{Kind::kData, packet.bytes.substr(0, cut)});
    packet.bytes.erase(0, cut);
    packet.is_rest = true;
    delay = static_cast<Nanos>(random.Below(static_cast<uint64_t>(links_.faults().most_tear)));
  }
  if (is_cut) {
    is_ending_in_message_ = false;
    Schedule(sender, Packet{Kind::kReset, {}});
    Schedule(1 - sender, Packet{Kind::kReset, {}});
  }
  Schedule(sender, std::move(packet), delay);
}

// `delay` comes on top of what the network takes. Packets arrive in the order in which they were scheduled.
void SimConnection::Schedule(size_t sender, Packet packet, Nanos delay) {
  Pipe& pipe = pipes[sender];
  const Nanos wire = static_cast<Nanos>(packet.bytes.size()) * kSecond / links_.faults().bytes_per_second;
  const Nanos latency = DrawLatency(sender);
  pipe.last_arrival = std::max(pipe.last_arrival + 1, links_.world().now() + latency + wire + delay);
  links_.world().At(pipe.last_arrival, [self = shared_from_this(), sender, packet = std::move(packet)]() mutable {
    self->Arrive(sender, std::move(packet));
  });
}

// What was sent before the reset and has not arrived is lost: TCP retransmits nothing on a connection that is over.
void SimConnection::Overtake(size_t sender, Packet reset) {
  links_.world().After(DrawLatency(sender), [self = shared_from_this(), sender, reset = std::move(reset)]() mutable {
    self->pipes[sender].stalled.clear();
    self->Arrive(sender, std::move(reset));
  });
}

void SimConnection::Arrive(size_t sender, Packet packet) {
  Pipe& pipe = pipes[sender];
  if (pipe.is_reset) {
    if (packet.is_rest) owner_.OnMessageCut();
    return;
  }
  if (!pipe.stalled.empty() || IsCut(sender)) {
    pipe.stalled.push_back(std::move(packet));
    return;
  }
  Receive(sender, std::move(packet));
}

void SimConnection::Retransmit(size_t sender) {
  if (IsCut(sender)) return;
  std::deque<Packet> packets;
  packets.swap(pipes[sender].stalled);
  for (Packet& packet : packets) Receive(sender, std::move(packet));
}

void SimConnection::Receive(size_t sender, Packet packet) {
  if (packet.kind == Kind::kReset) pipes[sender].is_reset = true;
  End& to = ends[1 - sender];
  if (to.host == nullptr || (to.was_open && to.stream == nullptr)) {
    // A machine that is up answers for a closed port with a reset.
    const bool is_up = to.host != nullptr || owner_.IsListening(to.address);
    if (packet.kind != Kind::kData) return;
    if (is_up) {
      Schedule(1 - sender, Packet{Kind::kReset, {}});
    } else {
      pipes[sender].is_lost = true;
    }
    return;
  }
  to.host->Deliver([self = shared_from_this(), sender, packet = std::move(packet)]() mutable {
    if (SimStream* stream = self->ends[1 - sender].stream) {
      stream->OnPacket(std::move(packet));
    } else if (!self->ends[1 - sender].was_open) {
      self->pipes[sender].stalled.push_back(std::move(packet));  // until the connection has been accepted
    }
  });
}

void SimConnection::OnRead(size_t reader, size_t bytes) {
  Pipe& pipe = pipes[1 - reader];
  pipe.unread -= std::min(bytes, pipe.unread);
  if (pipe.unread > kSocketBuffer / 2 || ends[1 - reader].host == nullptr) return;
  SimStream* writer = ends[1 - reader].stream;
  if (writer == nullptr) return;
  ends[1 - reader].host->Deliver([self = shared_from_this(), reader] {
    if (SimStream* stream = self->ends[1 - reader].stream) stream->OnRoom();
  });
}

void SimConnection::Reset() {
  Send(0, Packet{Kind::kReset, {}});
  Send(1, Packet{Kind::kReset, {}});
}

void SimConnection::CloseIfOver() {
  for (const End& end : ends)
    if (end.host != nullptr && (end.stream != nullptr || !end.was_open)) return;
  owner_.OnClosed(id_);
}

}  // namespace ringraft::sim
