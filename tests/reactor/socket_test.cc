#include "reactor/socket.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A connected pair of sockets on the ring.
std::pair<Socket, Socket> MakePair(RingHost& host, int send_buffer = 0) {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  if (send_buffer > 0) {
    for (int fd : pair) REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)) == 0);
  }
  return {Socket(host.poller(), pair[0]), Socket(host.poller(), pair[1])};
}

struct Outcome {
  bool is_done = false;
  Error error;
  size_t bytes = 0;
};

Task<void> WriteAll(Socket& socket, std::string_view bytes, Outcome& outcome) {
  auto write = socket.Write(bytes);
  auto result = co_await write;
  if (!result) outcome.error = result.error();
  outcome.is_done = true;
}

Task<void> WritePieces(Socket& socket, std::span<const std::string_view> pieces, Outcome& outcome) {
  auto write = socket.Write(pieces);
  auto result = co_await write;
  if (!result) outcome.error = result.error();
  outcome.is_done = true;
  socket.ShutdownWrite();
}

Task<void> ReadToEnd(Socket& socket, std::string& all, Outcome& outcome) {
  std::vector<char> buffer(70'000);
  while (true) {
    auto read = socket.Read(std::span<char>(buffer.data(), buffer.size()));
    auto got = co_await read;
    if (!got) outcome.error = got.error();
    if (!got || got.value() == 0) break;
    all.append(buffer.data(), got.value());
  }
  outcome.is_done = true;
}

Task<void> ReadOnce(Socket& socket, Outcome& outcome) {
  char buffer[100];
  auto read = socket.Read(std::span<char>(buffer, sizeof(buffer)));
  auto got = co_await read;
  outcome.is_done = true;
  if (!got) {
    outcome.error = got.error();
  } else {
    outcome.bytes = got.value();
  }
}

Task<void> AcceptOnce(Listener& listener, Socket& accepted, Outcome& outcome) {
  auto accept = listener.Accept();
  auto socket = co_await accept;
  outcome.is_done = true;
  if (!socket) {
    outcome.error = socket.error();
  } else {
    accepted = std::move(socket).value();
  }
}

Task<void> ConnectOnce(RingHost& host, Addr addr, Duration timeout, Socket& connected, Outcome& outcome) {
  auto connect = host.ring_network().ConnectSocket(addr, timeout);
  auto socket = co_await connect;
  outcome.is_done = true;
  if (!socket) {
    outcome.error = socket.error();
  } else {
    connected = std::move(socket).value();
  }
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 997);
  return bytes;
}

bool Quiet(RingHost& host) {
  return TurnUntil(host, [&] { return host.in_flight() == 0; });
}

}  // namespace

TEST_CASE("G1: 8 MiB in pieces arrive whole through a tiny send buffer") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host, 4096);
  const std::string bytes = Pattern(8 << 20);
  std::vector<std::string_view> pieces;
  for (size_t at = 0, size = 0; at < bytes.size(); at += size) {
    size = std::min<size_t>(bytes.size() - at, (at * 7919) % 200'000);
    pieces.push_back(std::string_view(bytes).substr(at, size));  // some are empty
    if (size == 0) pieces.push_back(std::string_view(bytes).substr(at, size = 1));
  }
  std::string all;
  Outcome written, read;
  TurnScope scope(host->loop());
  scope.Start(WritePieces(left, pieces, written));
  CHECK_FALSE(written.is_done);  // the buffer is tiny
  scope.Start(ReadToEnd(right, all, read));
  REQUIRE(TurnUntil(*host, [&] { return read.is_done; }));
  CHECK(written.is_done);
  CHECK(written.error == Errc::kOk);
  CHECK(read.error == Errc::kOk);
  CHECK(all == bytes);
  CHECK(Quiet(*host));
}

TEST_CASE("a read returns 0 bytes at the end of the stream, and an empty write completes at once") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host);
  Outcome read, write;
  TurnScope scope(host->loop());
  scope.Start(WriteAll(left, "", write));
  CHECK(write.is_done);
  scope.Start(ReadOnce(right, read));
  host->Turn(Duration::zero());
  CHECK_FALSE(read.is_done);
  left.Close();
  REQUIRE(TurnUntil(*host, [&] { return read.is_done; }));
  CHECK(read.bytes == 0);
  CHECK(read.error == Errc::kOk);
}

TEST_CASE("a write to a closed peer is an error, not a signal") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host);
  right.Close();
  Outcome write;
  TurnScope scope(host->loop());
  scope.Start(WriteAll(left, "x", write));
  CHECK(write.error == Errc::kIo);
  left.Close();
  Outcome read;
  scope.Start(ReadOnce(left, read));
  CHECK(read.error == Errc::kStopped);
}

TEST_CASE("G15: dropping a coroutine that reads or writes at any time leaves nothing in flight") {
  const std::string bytes = Pattern(1 << 20);
  for (int turns = 0; turns < 6; ++turns) {
    for (bool is_ready : {false, true}) {
      auto host = MakeHost();
      auto [left, right] = MakePair(*host, 4096);
      Outcome read, write;
      TurnScope scope(host->loop());
      scope.Start(ReadOnce(left, read));
      scope.Start(WriteAll(left, bytes, write));
      for (int i = 0; i < turns; ++i) host->Turn(Duration::zero());
      if (is_ready) {  // the completion and the cancellation race
        REQUIRE(::send(right.fd(), "now", 3, 0) == 3);
        char buffer[100'000];
        while (::recv(right.fd(), buffer, sizeof(buffer), 0) > 0) {
        }
      }
      scope.Drop();
      CHECK(Quiet(*host));
      CHECK_FALSE(read.is_done);
      CHECK_FALSE(write.is_done);
    }
  }
}

TEST_CASE("G3: closing a socket under a reading coroutine ends the read, and the peer sees the end") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host);
  Outcome mine, theirs;
  TurnScope scope(host->loop());
  scope.Start(ReadOnce(left, mine));
  scope.Start(ReadOnce(right, theirs));
  host->Turn(Duration::zero());
  left.Close();
  REQUIRE(TurnUntil(*host, [&] { return mine.is_done && theirs.is_done; }));
  CHECK(mine.bytes == 0);
  CHECK(theirs.bytes == 0);
  CHECK(Quiet(*host));
}

TEST_CASE("a descriptor stays open until the ring has released it") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host);
  const int fd = left.fd();
  Outcome read;
  TurnScope scope(host->loop());
  scope.Start(ReadOnce(left, read));
  scope.Drop();
  left.Close();
  CHECK(::fcntl(fd, F_GETFD) >= 0);  // its poll and the cancellation are not submitted yet
  CHECK(Quiet(*host));
  CHECK(::fcntl(fd, F_GETFD) < 0);
}

TEST_CASE("a fast peer does not starve the reactor: reads that never block yield to other coroutines") {
  auto host = MakeHost();
  auto [left, right] = MakePair(*host);
  struct Firehose {
    static Task<void> Run(Socket& from, Socket& to, int& rounds, bool& is_stopped) {
      char byte;
      while (!is_stopped) {
        auto write = to.Write(std::string_view("x"));
        auto written = co_await write;
        if (!written) break;
        auto read = from.Read(std::span<char>(&byte, 1));
        auto got = co_await read;
        if (!got) break;
        ++rounds;
      }
    }
  };
  int rounds = 0;
  bool is_stopped = false;
  TurnScope scope(host->loop());
  scope.Start(Firehose::Run(left, right, rounds, is_stopped));  // must return
  CHECK(rounds > 0);
  is_stopped = true;
  REQUIRE(TurnUntil(*host, [&] { return scope.is_empty(); }));
}

TEST_CASE("connect, accept and talk over TCP") {
  auto host = MakeHost();
  auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  Socket client, server;
  Outcome connected, accepted, read, written;
  TurnScope scope(host->loop());
  scope.Start(AcceptOnce(listener.value(), server, accepted));
  scope.Start(ConnectOnce(*host, listener.value().BoundAddr(), seconds(10), client, connected));
  REQUIRE(TurnUntil(*host, [&] { return connected.is_done && accepted.is_done; }));
  CHECK(connected.error == Errc::kOk);
  CHECK(server.PeerText().starts_with("127.0.0.1:"));
  scope.Start(WriteAll(client, "hello", written));
  scope.Start(ReadOnce(server, read));
  REQUIRE(TurnUntil(*host, [&] { return read.is_done; }));
  CHECK(read.bytes == 5);
}

TEST_CASE("a name is resolved off the reactor") {
  auto host = MakeHost();
  auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  std::string address = listener.value().BoundAddr().text();
  address.replace(0, address.find(':'), "localhost");
  Socket client;
  Outcome connected;
  TurnScope scope(host->loop());
  scope.Start(ConnectOnce(*host, Addr(address), seconds(30), client, connected));
  REQUIRE(TurnUntil(*host, [&] { return connected.is_done; }));
  CHECK(connected.error == Errc::kOk);
}

TEST_CASE("a refused connect is kUnreachable and names the address") {
  auto host = MakeHost();
  Addr addr;
  {
    auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
    REQUIRE(listener);
    addr = listener.value().BoundAddr();
  }
  Socket client;
  Outcome connected;
  TurnScope scope(host->loop());
  scope.Start(ConnectOnce(*host, addr, seconds(10), client, connected));
  REQUIRE(TurnUntil(*host, [&] { return connected.is_done; }));
  CHECK(connected.error == Errc::kUnreachable);
  CHECK(connected.error.message() == "cannot connect to " + addr.text() + ": Connection refused");
}

TEST_CASE("an unanswered connect is kTimedOut") {
  auto host = MakeHost();
  // Further connections to a full backlog get no response.
  auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = SplitAddr(Addr("127.0.0.1:0"));
  SocketAddress address = ResolveNumeric(where.value()).front();
  REQUIRE(::bind(fd, address.get(), address.length) == 0);
  REQUIRE(::listen(fd, 0) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) == 0);
  const Addr addr(ToString(address));
  std::vector<Socket> clients(8);
  std::vector<Outcome> outcomes(8);
  TurnScope scope(host->loop());
  for (int i = 0; i < 8; ++i) {
    scope.Start(ConnectOnce(*host, addr, milliseconds(200), clients[i], outcomes[i]));
  }
  REQUIRE(TurnUntil(*host, [&] { return scope.is_empty(); }));
  CHECK(outcomes.back().error == Errc::kTimedOut);
  CHECK(Quiet(*host));
  ::close(fd);
}

TEST_CASE("a port in use is named, with the remedy") {
  auto host = MakeHost();
  auto first = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(first);
  const Addr addr = first.value().BoundAddr();
  auto second = host->ring_network().ListenSocket(addr);
  REQUIRE_FALSE(second);
  CHECK(second.error() == Errc::kIo);
  CHECK(second.error().message() ==
        "cannot listen on " + addr.text() + ": Address already in use; stop the other process or choose another port");
}

TEST_CASE("malformed addresses are refused by name") {
  for (const char* text : {"", "localhost", "localhost:", "localhost:http", "localhost:65536", "::1:80", "[::1:80",
                           "a b:1", "localhost:-1", "localhost:80x"}) {
    CAPTURE(text);
    auto where = SplitAddr(Addr(text));
    REQUIRE_FALSE(where);
    CHECK(where.error() == Errc::kInvalidArgument);
    CHECK(where.error().message().find(text) != std::string::npos);
  }
  auto v6 = SplitAddr(Addr("[::1]:80"));
  REQUIRE(v6);
  CHECK(v6.value().host == "::1");
  CHECK(ResolveNumeric(v6.value()).size() == 1);
  CHECK(ResolveNumeric(SplitAddr(Addr("localhost:80")).value()).empty());
}

TEST_CASE("closing a listener frees its port at once and ends the accept") {
  auto host = MakeHost();
  auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  const Addr addr = listener.value().BoundAddr();
  Socket server;
  Outcome accepted;
  TurnScope scope(host->loop());
  scope.Start(AcceptOnce(listener.value(), server, accepted));
  host->Turn(Duration::zero());
  CHECK(host->in_flight() == 1);
  listener.value().Close();
  auto again = host->ring_network().ListenSocket(addr);
  CHECK(again);
  REQUIRE(TurnUntil(*host, [&] { return accepted.is_done; }));
  CHECK(accepted.error == Errc::kStopped);
}

TEST_CASE("accepting survives a process that has no descriptors left") {
  auto host = MakeHost();
  auto listener = host->ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  Socket client, server;
  Outcome connected, accepted;
  TurnScope scope(host->loop());
  scope.Start(ConnectOnce(*host, listener.value().BoundAddr(), seconds(10), client, connected));
  REQUIRE(TurnUntil(*host, [&] { return connected.is_done; }));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 3;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  scope.Start(AcceptOnce(listener.value(), server, accepted));
  for (int i = 0; i < 3; ++i) host->Turn(milliseconds(1));
  const bool was_done = accepted.is_done;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_FALSE(was_done);
  REQUIRE(TurnUntil(*host, [&] { return accepted.is_done; }));
  CHECK(accepted.error == Errc::kOk);
}

}  // namespace ringraft::reactor
