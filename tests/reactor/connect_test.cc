// Names with several addresses: connecting side by side, and listening on each.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "reactor/connect.h"
#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::hours;

SocketAddress At(const std::string& host, const std::string& port) {
  return ResolveNumeric(HostPort{host, port}).front();
}
std::string PortOf(const Listener& listener) {
  const std::string text = listener.BoundAddr().text();
  return text.substr(text.rfind(':') + 1);
}

// A port whose backlog is full: the kernel drops what arrives, as a dead host's network does.
class Swallowing {
 public:
  Swallowing() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    address_ = At("127.0.0.1", "0");
    REQUIRE(::bind(fd_, address_.get(), address_.length) == 0);
    REQUIRE(::listen(fd_, 0) == 0);
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address_.storage), &address_.length) == 0);
    for (int i = 0; i < 4; ++i) {
      callers_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      (void)::connect(callers_.back(), address_.get(), address_.length);
    }
  }
  ~Swallowing() {
    for (const int fd : callers_) ::close(fd);
    ::close(fd_);
  }
  const SocketAddress& address() const { return address_; }

 private:
  int fd_;
  SocketAddress address_;
  std::vector<int> callers_;
};

using Outcome = std::optional<Result<Socket>>;

Task<void> Connect(RingHost& host, SocketAddresses addresses, Outcome& outcome, Duration time = hours(1)) {
  auto connect = ConnectTo(host.poller(), Addr("peer.example:1"), std::move(addresses), host.loop().Now() + time);
  auto connected = co_await connect;
  outcome.emplace(std::move(connected));
}

std::string ConnectedTo(RingHost& host, SocketAddresses addresses, Duration time = hours(1)) {
  Outcome outcome;
  TurnScope scope(host.loop());
  scope.Start(Connect(host, std::move(addresses), outcome, time));
  REQUIRE(TurnUntil(host, [&] { return outcome.has_value(); }));
  return *outcome ? outcome->value().PeerText() : outcome->error().message();
}

Task<void> AcceptOne(KjListener& listener, int& accepted) {
  auto accept = listener.Accept();
  auto stream = co_await accept;
  if (stream) ++accepted;
}

}  // namespace

TEST_CASE("J1: an address that swallows packets costs a moment, not all the time there is") {
  auto host = MakeHost();
  Swallowing dead, deader;
  auto listener = std::move(host->ring_network().ListenSocket(Addr("127.0.0.1:0")).value());
  const SocketAddress alive = At("127.0.0.1", PortOf(listener));
  CHECK(ConnectedTo(*host, {dead.address(), deader.address(), alive}) == ToString(alive));
  CHECK(ConnectedTo(*host, {alive, dead.address()}) == ToString(alive));
  REQUIRE(TurnUntil(*host, [&] { return host->in_flight() == 0; }));
}

TEST_CASE("J1: each address has its turn, however short the time is for how many there are") {
  auto host = MakeHost();
  Swallowing dead[4];
  auto listener = std::move(host->ring_network().ListenSocket(Addr("127.0.0.1:0")).value());
  const SocketAddress alive = At("127.0.0.1", PortOf(listener));
  const SocketAddresses all = {dead[0].address(), dead[1].address(), dead[2].address(), dead[3].address(), alive};
  CHECK(ConnectedTo(*host, all, std::chrono::milliseconds(800)) == ToString(alive));
  CHECK(ConnectedTo(*host, {dead[0].address(), dead[1].address()}, std::chrono::milliseconds(30)) ==
        "cannot connect to peer.example:1: no response in time");
}

TEST_CASE("J1: an address that refuses is passed over at once, and the last error is reported") {
  auto host = MakeHost();
  auto listener = std::move(host->ring_network().ListenSocket(Addr("127.0.0.1:0")).value());
  const SocketAddress alive = At("127.0.0.1", PortOf(listener));
  const SocketAddress refusing = At("127.0.0.2", PortOf(listener));
  CHECK(ConnectedTo(*host, {refusing, refusing, alive}) == ToString(alive));
  CHECK(ConnectedTo(*host, {refusing, refusing}) == "cannot connect to peer.example:1: Connection refused");
  CHECK(ConnectedTo(*host, {}) == "cannot connect to peer.example:1: No route to host");
}

TEST_CASE("G15: attempts side by side may be dropped after any turn") {
  auto host = MakeHost();
  Swallowing dead;
  auto listener = std::move(host->ring_network().ListenSocket(Addr("127.0.0.1:0")).value());
  const SocketAddress alive = At("127.0.0.1", PortOf(listener));
  const SocketAddress refusing = At("127.0.0.2", PortOf(listener));
  for (int turns = 0; turns < 6; ++turns) {
    Outcome outcome;
    TurnScope scope(host->loop());
    scope.Start(Connect(*host, {refusing, dead.address(), refusing, alive}, outcome));
    for (int i = 0; i < turns; ++i) host->Turn(Duration::zero());
    scope.Drop();
    REQUIRE(TurnUntil(*host, [&] { return host->in_flight() == 0; }));
  }
}

TEST_CASE("J1: a node whose name has several addresses listens on each, with one port") {
  auto host = MakeHost();
  const SocketAddresses own = {At("127.0.0.1", "0"), At("127.0.0.2", "0"), At("127.0.0.1", "0"), At("192.0.2.1", "0")};
  auto listeners = ListenOnAll(host->poller(), Addr("own.example:0"), own);
  REQUIRE(listeners);
  REQUIRE(listeners.value().size() == 2);  // one of the four is there twice, and one of another machine
  CHECK(PortOf(listeners.value()[0]) == PortOf(listeners.value()[1]));
  // Not: 127.0.0.2 alone.
  auto taken = ListenOnAll(host->poller(), Addr("own.example:1"),
                           {At("127.0.0.2", PortOf(listeners.value()[0])), At("127.0.0.3", "0")});
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message().find("cannot listen on own.example:1: Address already in use") == 0);
  auto remote = ListenOnAll(host->poller(), Addr("own.example:1"), {At("192.0.2.1", "0")});
  REQUIRE_FALSE(remote);
  CHECK(remote.error().message().find("choose an address of this machine") != std::string::npos);
}

TEST_CASE("J1: a network that listens on a name accepts from each of its addresses") {
  auto host = MakeHost();
  std::string port;
  {
    auto free = std::move(host->ring_network().ListenSocket(Addr("127.0.0.1:0")).value());
    port = PortOf(free);
  }
  host->resolver().SetLookup([](const HostPort& where) {
    return Result<SocketAddresses>(SocketAddresses{At("127.0.0.1", where.port), At("127.0.0.2", where.port)});
  });
  auto listener = host->network().Listen(Addr("own.example:" + port));
  REQUIRE(listener);
  for (const char* address : {"127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.1"}) {
    int accepted = 0;
    Outcome outcome;
    TurnScope scope(host->loop());
    scope.Start(AcceptOne(*listener.value(), accepted));
    scope.Start(Connect(*host, {At(address, port)}, outcome));
    REQUIRE(TurnUntil(*host, [&] { return accepted == 1 && outcome.has_value(); }));
    CHECK(outcome->has_value());
  }
  coro::Loop::Entered entered(host->loop());
  listener.value().reset();
}

}  // namespace ringraft::reactor
