#include "sim/net.h"

#include <fmt/format.h>

#include <deque>
#include <iterator>
#include <vector>

#include "coro/signal.h"

namespace ringraft::sim {
namespace {

constexpr Nanos kMostBackoff = 300 * kMilli;  // until TCP retransmits after a cut

}  // namespace

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
    std::shared_ptr<SimConnection> connection = std::move(backlog_.front());
    backlog_.pop_front();
    kj::Own<kj::AsyncIoStream> stream = connection->Open(1);
    connection->Retransmit(0);
    co_return reactor::KjStream(kj::mv(stream));
  }

  // A connection has arrived. Called by an event, outside the turns of the host.
  void Offer(std::shared_ptr<SimConnection> connection) {
    connection->ends[1].host = &host_;
    host_.Deliver([&net = net_, address = address_, self = this, connection = std::move(connection)] {
      if (net.FindListener(address) != self) return;  // it may have been closed by now
      self->backlog_.push_back(connection);
      self->arrived_.Notify();
    });
  }
  SimHost& host() { return host_; }

 private:
  Net& net_;
  SimHost& host_;
  const std::string address_;
  std::deque<std::shared_ptr<SimConnection>> backlog_;
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
      net_.world_.After(net_.links_.DrawLatency(from, to), [this, &net = net_, attempt, from, to] {
        if (!attempt->is_over) OnFirstPacket(net, attempt, from, to);
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
    kj::Own<kj::AsyncIoStream> stream = attempt->connection->Open(0);
    co_return reactor::KjStream(kj::mv(stream));
  }

  Result<std::unique_ptr<reactor::KjListener>> Listen(const Addr& addr) override {
    if (net_.FindListener(addr.text()) != nullptr) return Error(Errc::kIo, fmt::format("{} is in use", addr.text()));
    return std::unique_ptr<reactor::KjListener>(std::make_unique<Net::Listener>(net_, host_, addr.text()));
  }

 private:
  struct Attempt {
    explicit Attempt(coro::Loop& loop) : answered(loop) {}
    bool is_over = false;
    std::shared_ptr<SimConnection> connection;  // null: refused
    coro::Signal answered;
  };

  // Ends the attempt also when the coroutine is dropped.
  class Ended {
   public:
    explicit Ended(Attempt& attempt) : attempt_(attempt) {}
    ~Ended() { attempt_.is_over = true; }

   private:
    Attempt& attempt_;
  };

  // The first packet has arrived at the other machine. `this` is alive: the attempt is not over.
  void OnFirstPacket(Net& net, std::shared_ptr<Attempt> attempt, const std::string& from, const std::string& to) {
    if (net.IsCut(from, to) || net.world_.random().Chance(net.links_.faults().refuse)) return;
    Net::Listener* listener = net.FindListener(to);
    std::shared_ptr<SimConnection> connection;
    if (listener != nullptr) {
      connection = net.AddConnection(from, to);
      connection->ends[0].host = &host_;
      listener->Offer(connection);
    }
    net.world_.After(net.links_.DrawLatency(to, from), [&net, host = &host_, attempt, connection, from, to] {
      const bool is_lost = attempt->is_over || net.IsCut(to, from);
      if (is_lost) {
        // The reply is lost: the caller never gets this connection, and the other end notices when it sends.
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

void Net::Mend(const std::string& from, const std::string& to) {
  if (!links_.Mend(from, to)) return;
  for (auto& [id, connection] : connections_) {
    for (size_t sender = 0; sender < 2; ++sender) {
      if (!connection->Joins(sender, from, to) || connection->pipes[sender].stalled.empty()) continue;
      world_.After(static_cast<Nanos>(world_.random().Below(kMostBackoff)),
                   [connection, sender] { connection->Retransmit(sender); });
    }
  }
}

void Net::MendAll() {
  const auto cuts = links_.cuts();
  for (const auto& [link, count] : cuts)
    for (uint64_t i = 0; i < count; ++i) Mend(link.first, link.second);
}

bool Net::ResetOne() {
  if (connections_.empty()) return false;
  auto chosen = connections_.begin();
  std::advance(chosen, static_cast<ptrdiff_t>(world_.random().Below(connections_.size())));
  if (world_.random().Chance(0.5)) {
    chosen->second->ResetInMessage();
  } else {
    chosen->second->Reset();
  }
  return true;
}

void Net::OnHostGone(SimHost& host, bool is_silent) {
  for (auto found = listeners_.begin(); found != listeners_.end();)
    found = &found->second->host() == &host ? listeners_.erase(found) : std::next(found);
  std::vector<std::shared_ptr<SimConnection>> all;
  for (auto& [id, connection] : connections_) all.push_back(connection);
  for (auto& connection : all) {
    for (size_t end = 0; end < 2; ++end) {
      if (connection->ends[end].host != &host) continue;
      connection->ends[end].host = nullptr;
      if (!is_silent) connection->Send(end, SimConnection::Packet{SimConnection::Kind::kReset, {}});
      connection->CloseIfOver();
    }
  }
}

void Net::OnHostBack(const std::string& address) {
  for (auto& [id, connection] : connections_) {
    for (size_t end = 0; end < 2; ++end) {
      SimConnection::Pipe& pipe = connection->pipes[1 - end];
      if (connection->ends[end].address != address || connection->ends[end].host != nullptr || !pipe.is_lost) continue;
      pipe.is_lost = false;
      world_.After(static_cast<Nanos>(world_.random().Below(kMostBackoff)), [connection, end] {
        connection->Send(end, SimConnection::Packet{SimConnection::Kind::kReset, {}});
      });
    }
  }
}

std::shared_ptr<SimConnection> Net::AddConnection(const std::string& from, const std::string& to) {
  ConnectionOwner& owner = *this;
  auto connection = std::make_shared<SimConnection>(owner, links_, next_connection_);
  connections_.emplace(next_connection_++, connection);
  connection->ends[0].address = from;
  connection->ends[1].address = to;
  return connection;
}

void Net::OnSend(const std::string& from, const std::string& to, std::string_view bytes) {
  if (on_bytes) on_bytes(from, to, bytes);
}

std::shared_ptr<SimConnection> Net::ConnectFromOutside(Listener& listener, const std::string& to) {
  auto connection = AddConnection("203.0.113.1:9", to);
  connection->ends[0].was_open = true;
  listener.Offer(connection);
  return connection;
}

void Net::Send(const std::string& to, std::string bytes) {
  Listener* listener = FindListener(to);
  if (listener == nullptr) return;
  auto connection = ConnectFromOutside(*listener, to);
  if (!bytes.empty()) connection->Send(0, SimConnection::Packet{SimConnection::Kind::kData, std::move(bytes)});
  connection->Send(0, SimConnection::Packet{SimConnection::Kind::kEnd, {}});
}

bool Net::Storm(const std::string& to, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Listener* listener = FindListener(to);
    if (listener == nullptr) return false;
    auto connection = ConnectFromOutside(*listener, to);
    if (world_.random().Chance(0.5)) {
      std::string noise(static_cast<size_t>(world_.random().Between(1, 64)), '\0');
      for (char& byte : noise) byte = static_cast<char>(world_.random().Next());
      connection->Send(0, SimConnection::Packet{SimConnection::Kind::kData, std::move(noise)});
    }
    if (world_.random().Chance(0.7)) {
      world_.After(static_cast<Nanos>(world_.random().Below(2 * kSecond)), [connection] {
        connection->Send(0, SimConnection::Packet{SimConnection::Kind::kEnd, {}});
      });
    }
  }
  return true;
}

}  // namespace ringraft::sim
