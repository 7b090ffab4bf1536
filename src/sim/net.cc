#include "sim/net.h"

#include <fmt/format.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "base/assert.h"
#include "coro/signal.h"

namespace ringraft::sim {
namespace {

constexpr size_t kSocketBuffer = 256 * 1024;  // sent and not read; a write beyond it waits
constexpr Nanos kMostBackoff = 300 * kMilli;  // until TCP tries again after a cut

kj::Exception Disconnected(const char* what) {
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__, kj::heapString(what));
}

}  // namespace

class SimStream;

// Both directions, and both ends. `sender` 0 is the end that connected, 1 the one that accepted.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  enum class Kind { kData, kEnd, kReset };
  struct Packet {
    Kind kind = Kind::kData;
    std::string bytes;
  };
  struct End {
    SimHost* host = nullptr;  // null: nobody, or dead
    std::string address;
    SimStream* stream = nullptr;
    bool was_open = false;  // a stream has existed
  };
  struct Pipe {
    Nanos last_arrival = 0;
    std::deque<Packet> stalled;  // arrived at a cut
    size_t unread = 0;           // bytes sent and not read
  };

  Connection(Net& net, uint64_t id) : net_(net), id_(id) {}

  void Send(size_t sender, Packet packet);
  void Arrive(size_t sender, Packet packet);
  void Retransmit(size_t sender);
  void OnRead(size_t reader, size_t bytes);
  void OnStreamGone(size_t end);
  void Reset();
  bool Joins(size_t sender, const std::string& from, const std::string& to) const {
    return ends[sender].address == from && ends[1 - sender].address == to;
  }

  End ends[2];
  Pipe pipes[2];  // pipes[i] carries what end i sends

 private:
  void Schedule(size_t sender, Packet packet);
  void Receive(size_t sender, Packet packet);
  void ForgetIfOver();

  Net& net_;
  const uint64_t id_;
};

// --- the stream of one end ---

class SimStream final : public kj::AsyncIoStream {
 public:
  SimStream(std::shared_ptr<Connection> connection, size_t end)
      : connection_(std::move(connection)), end_(end), host_(*connection_->ends[end].host), turn_end_(*this) {
    connection_->ends[end].stream = this;
    connection_->ends[end].was_open = true;
  }
  ~SimStream() noexcept(false) {
    connection_->ends[end_].stream = nullptr;
    if (host_.is_crashed()) return;
    Flush();
    if (!is_reset_) connection_->Send(end_, Connection::Packet{Connection::Kind::kEnd, {}});
    connection_->OnStreamGone(end_);
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
    if (!host_.is_crashed()) connection_->Send(end_, Connection::Packet{Connection::Kind::kEnd, {}});
  }
  void abortRead() override { has_ended_ = true; }

  // In a turn of our host.
  void OnPacket(Connection::Packet packet) {
    if (is_reset_) return;
    switch (packet.kind) {
      case Connection::Kind::kData:
        in_.append(packet.bytes);
        break;
      case Connection::Kind::kEnd:
        has_ended_ = true;
        break;
      case Connection::Kind::kReset:
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
  struct TurnEnd final : reactor::TurnEndNode {
    explicit TurnEnd(SimStream& stream) : stream(stream) {}
    void OnTurnEnd() override { stream.Flush(); }
    SimStream& stream;
  };

  // True if the read is done.
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
    connection_->Send(end_, Connection::Packet{Connection::Kind::kData, std::move(out_)});
    out_.clear();
  }

  void OnReset() {
    is_reset_ = true;
    if (reader_ != nullptr) std::exchange(reader_, nullptr)->fulfiller.reject(Disconnected("connection reset"));
    if (writer_ != nullptr) std::exchange(writer_, nullptr)->fulfiller.reject(Disconnected("connection reset"));
    for (auto& fulfiller : on_disconnect_) fulfiller->fulfill();
    on_disconnect_.clear();
  }

  const std::shared_ptr<Connection> connection_;
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

// --- packets ---

void Connection::Send(size_t sender, Packet packet) {
  net_.bytes_sent_ += packet.bytes.size();
  if (net_.on_bytes && !packet.bytes.empty())
    net_.on_bytes(ends[sender].address, ends[1 - sender].address, packet.bytes);
  pipes[sender].unread += packet.bytes.size();
  Random& random = net_.world_.random();
  if (packet.bytes.size() > 1 && random.Chance(net_.faults_.tear)) {
    const size_t cut = static_cast<size_t>(random.Between(1, packet.bytes.size() - 1));
    Schedule(sender, Packet{Kind::kData, packet.bytes.substr(0, cut)});
    packet.bytes.erase(0, cut);
  }
  Schedule(sender, std::move(packet));
}

void Connection::Schedule(size_t sender, Packet packet) {
  Pipe& pipe = pipes[sender];
  const Nanos wire = static_cast<Nanos>(packet.bytes.size()) * kSecond / net_.faults_.bytes_per_second;
  const Nanos earliest = net_.world_.now() + net_.Latency(ends[sender].address, ends[1 - sender].address) + wire;
  pipe.last_arrival = std::max(pipe.last_arrival + 1, earliest);
  net_.world_.At(pipe.last_arrival, [self = shared_from_this(), sender, packet = std::move(packet)]() mutable {
    self->Arrive(sender, std::move(packet));
  });
}

void Connection::Arrive(size_t sender, Packet packet) {
  Pipe& pipe = pipes[sender];
  if (!pipe.stalled.empty() || net_.IsCut(ends[sender].address, ends[1 - sender].address)) {
    pipe.stalled.push_back(std::move(packet));
    return;
  }
  Receive(sender, std::move(packet));
}

void Connection::Retransmit(size_t sender) {
  if (net_.IsCut(ends[sender].address, ends[1 - sender].address)) return;
  std::deque<Packet> packets;
  packets.swap(pipes[sender].stalled);
  for (Packet& packet : packets) Receive(sender, std::move(packet));
}

void Connection::Receive(size_t sender, Packet packet) {
  End& to = ends[1 - sender];
  if (to.host == nullptr || (to.was_open && to.stream == nullptr)) {
    // A port that nobody has any more answers with a reset, if the machine is up.
    const bool is_up = to.host != nullptr || net_.FindListener(to.address) != nullptr;
    if (is_up && packet.kind == Kind::kData) Schedule(1 - sender, Packet{Kind::kReset, {}});
    return;
  }
  to.host->Deliver([self = shared_from_this(), sender, packet = std::move(packet)]() mutable {
    if (SimStream* stream = self->ends[1 - sender].stream) {
      stream->OnPacket(std::move(packet));
    } else if (!self->ends[1 - sender].was_open) {
      self->pipes[sender].stalled.push_back(std::move(packet));  // until it has been accepted
    }
  });
}

void Connection::OnRead(size_t reader, size_t bytes) {
  Pipe& pipe = pipes[1 - reader];
  pipe.unread -= std::min(bytes, pipe.unread);
  if (pipe.unread > kSocketBuffer / 2 || ends[1 - reader].host == nullptr) return;
  SimStream* writer = ends[1 - reader].stream;
  if (writer == nullptr) return;
  ends[1 - reader].host->Deliver([self = shared_from_this(), reader] {
    if (SimStream* stream = self->ends[1 - reader].stream) stream->OnRoom();
  });
}

void Connection::Reset() {
  Schedule(0, Packet{Kind::kReset, {}});
  Schedule(1, Packet{Kind::kReset, {}});
}

void Connection::OnStreamGone(size_t) { ForgetIfOver(); }

void Connection::ForgetIfOver() {
  for (const End& end : ends)
    if (end.host != nullptr && (end.stream != nullptr || !end.was_open)) return;
  net_.connections_.erase(id_);
}

// --- listening and connecting ---

class Net::Listener final : public reactor::KjListener {
 public:
  Listener(Net& net, SimHost& host, std::string address)
      : net_(net), host_(host), address_(std::move(address)), arrived_(host.loop()) {
    net_.listeners_[address_] = this;
  }
  ~Listener() override { Leave(); }
  void Leave() {
    auto found = net_.listeners_.find(address_);
    if (found != net_.listeners_.end() && found->second == this) net_.listeners_.erase(found);
  }

  Task<Result<reactor::KjStream>> Accept() override {
    while (backlog_.empty()) {
      auto arrived = arrived_.Wait();
      co_await arrived;
    }
    std::shared_ptr<Connection> connection = std::move(backlog_.front());
    backlog_.pop_front();
    kj::Own<kj::AsyncIoStream> stream = kj::heap<SimStream>(connection, 1);
    connection->Retransmit(0);
    co_return reactor::KjStream(kj::mv(stream));
  }

  // From the world: a connection has come.
  void Offer(std::shared_ptr<Connection> connection) {
    connection->ends[1].host = &host_;
    host_.Deliver([&net = net_, address = address_, self = this, connection = std::move(connection)] {
      if (net.FindListener(address) != self) return;  // it may be gone by now
      self->backlog_.push_back(connection);
      self->arrived_.Notify();
    });
  }
  SimHost& host() { return host_; }

 private:
  Net& net_;
  SimHost& host_;
  const std::string address_;
  std::deque<std::shared_ptr<Connection>> backlog_;
  coro::Signal arrived_;
};

class HostNetwork final : public reactor::Network {
 public:
  HostNetwork(Net& net, SimHost& host) : net_(net), host_(host) {}

  Task<Result<reactor::KjStream>> Connect(Addr addr, Duration timeout) override {
    auto attempt = std::make_shared<Attempt>(host_.loop());
    Ended ended(*attempt);
    const std::string from = host_.address();
    const std::string to = addr.text();
    if (!host_.is_crashed()) {
      net_.world_.After(net_.Latency(from, to), [this, &net = net_, attempt, from, to] {
        if (!attempt->is_over) Knock(net, attempt, from, to);
      });
    }
    const TimePoint deadline = host_.loop().Now() + timeout;
    while (!attempt->is_over) {
      auto answered = attempt->answered.WaitUntil(deadline);
      const bool in_time = co_await answered;
      if (!in_time) break;
    }
    if (!attempt->is_over) {
      attempt->is_over = true;
      co_return Error(Errc::kTimedOut, fmt::format("no answer from {} in time", to));
    }
    if (attempt->connection == nullptr) co_return Error(Errc::kUnreachable, fmt::format("{} refused", to));
    kj::Own<kj::AsyncIoStream> stream = kj::heap<SimStream>(attempt->connection, 0);
    co_return reactor::KjStream(kj::mv(stream));
  }

  Result<std::unique_ptr<reactor::KjListener>> Listen(const Addr& addr) override {
    if (net_.FindListener(addr.text()) != nullptr) return Error(Errc::kIo, fmt::format("{} is in use", addr.text()));
    return std::unique_ptr<reactor::KjListener>(std::make_unique<Net::Listener>(net_, host_, addr.text()));
  }

 private:
  struct Attempt {
    explicit Attempt(reactor::Loop& loop) : answered(loop) {}
    bool is_over = false;
    std::shared_ptr<Connection> connection;  // null: refused
    coro::Signal answered;
  };

  // Whoever dropped the coroutine wants no answer.
  class Ended {
   public:
    explicit Ended(Attempt& attempt) : attempt_(attempt) {}
    ~Ended() { attempt_.is_over = true; }

   private:
    Attempt& attempt_;
  };

  // The first packet has arrived at the other machine. `this` lives: the attempt is not over.
  void Knock(Net& net, std::shared_ptr<Attempt> attempt, const std::string& from, const std::string& to) {
    if (net.IsCut(from, to) || net.world_.random().Chance(net.faults_.refuse)) return;
    Net::Listener* listener = net.FindListener(to);
    std::shared_ptr<Connection> connection;
    if (listener != nullptr) {
      connection = std::make_shared<Connection>(net, net.next_connection_);
      net.connections_.emplace(net.next_connection_++, connection);
      connection->ends[0].address = from;
      connection->ends[0].host = &host_;
      connection->ends[1].address = to;
      listener->Offer(connection);
    }
    net.world_.After(net.Latency(to, from), [&net, host = &host_, attempt, connection, from, to] {
      const bool is_lost = attempt->is_over || net.IsCut(to, from);
      if (is_lost) {
        // Our half never comes into being; the other finds out when it sends.
        if (connection != nullptr) connection->ends[0].was_open = true;
        return;
      }
      host->Deliver([attempt, connection] {
        if (attempt->is_over) {
          if (connection != nullptr) connection->ends[0].was_open = true;
          return;
        }
        attempt->is_over = true;
        attempt->connection = connection;
        attempt->answered.Notify();
      });
    });
  }

  Net& net_;
  SimHost& host_;
};

// --- the network ---

Net::~Net() = default;

std::unique_ptr<reactor::Network> Net::MakeNetwork(SimHost& host) { return std::make_unique<HostNetwork>(*this, host); }

Net::Listener* Net::FindListener(const std::string& address) {
  auto found = listeners_.find(address);
  return found == listeners_.end() ? nullptr : found->second;
}

Nanos Net::Latency(const std::string& from, const std::string& to) {
  Random& random = world_.random();
  Nanos latency = static_cast<Nanos>(
      random.Between(static_cast<uint64_t>(faults_.least_latency), static_cast<uint64_t>(faults_.most_latency)));
  if (random.Chance(faults_.spike))
    latency += static_cast<Nanos>(random.Below(static_cast<uint64_t>(faults_.most_spike)));
  auto slow = slow_.find({from, to});
  return slow == slow_.end() ? latency : latency + slow->second;
}

void Net::Slow(const std::string& from, const std::string& to, Nanos more) { slow_[{from, to}] = more; }

void Net::Mend(const std::string& from, const std::string& to) {
  if (cuts_.erase({from, to}) == 0) return;
  for (auto& [id, connection] : connections_) {
    for (size_t sender = 0; sender < 2; ++sender) {
      if (!connection->Joins(sender, from, to) || connection->pipes[sender].stalled.empty()) continue;
      world_.After(static_cast<Nanos>(world_.random().Below(kMostBackoff)),
                   [connection, sender] { connection->Retransmit(sender); });
    }
  }
}

void Net::MendAll() {
  std::set<std::pair<std::string, std::string>> cuts = cuts_;
  for (const auto& [from, to] : cuts) Mend(from, to);
}

bool Net::ResetOne() {
  if (connections_.empty()) return false;
  auto chosen = connections_.begin();
  std::advance(chosen, static_cast<ptrdiff_t>(world_.random().Below(connections_.size())));
  chosen->second->Reset();
  return true;
}

void Net::OnHostGone(SimHost& host, bool is_silent) {
  for (auto found = listeners_.begin(); found != listeners_.end();)
    found = &found->second->host() == &host ? listeners_.erase(found) : std::next(found);
  std::vector<std::shared_ptr<Connection>> all;
  for (auto& [id, connection] : connections_) all.push_back(connection);
  for (auto& connection : all) {
    for (size_t end = 0; end < 2; ++end) {
      if (connection->ends[end].host != &host) continue;
      connection->ends[end].host = nullptr;
      if (!is_silent) connection->Send(end, Connection::Packet{Connection::Kind::kReset, {}});
      connection->OnStreamGone(end);
    }
  }
}

void Net::OnHostBack(const std::string& address) {
  for (auto& [id, connection] : connections_)
    for (size_t end = 0; end < 2; ++end)
      if (connection->ends[end].address == address && connection->ends[end].host == nullptr)
        connection->Send(end, Connection::Packet{Connection::Kind::kReset, {}});
}

std::shared_ptr<Connection> Net::FromNobody(Listener& listener, const std::string& to) {
  auto connection = std::make_shared<Connection>(*this, next_connection_);
  connections_.emplace(next_connection_++, connection);
  connection->ends[0].address = "203.0.113.1:9";
  connection->ends[0].was_open = true;
  connection->ends[1].address = to;
  listener.Offer(connection);
  return connection;
}

void Net::Send(const std::string& to, std::string bytes) {
  Listener* listener = FindListener(to);
  if (listener == nullptr) return;
  auto connection = FromNobody(*listener, to);
  if (!bytes.empty()) connection->Send(0, Connection::Packet{Connection::Kind::kData, std::move(bytes)});
  connection->Send(0, Connection::Packet{Connection::Kind::kEnd, {}});
}

void Net::Storm(const std::string& to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Listener* listener = FindListener(to);
    if (listener == nullptr) return;
    auto connection = FromNobody(*listener, to);
    if (world_.random().Chance(0.5)) {
      std::string noise(static_cast<size_t>(world_.random().Between(1, 64)), '\0');
      for (char& byte : noise) byte = static_cast<char>(world_.random().Next());
      connection->Send(0, Connection::Packet{Connection::Kind::kData, std::move(noise)});
    }
    if (world_.random().Chance(0.7)) {
      world_.After(static_cast<Nanos>(world_.random().Below(2 * kSecond)),
                   [connection] { connection->Send(0, Connection::Packet{Connection::Kind::kEnd, {}}); });
    }
  }
}

}  // namespace ringraft::sim
