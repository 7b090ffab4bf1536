#include "reactor/kj_stream.h"

#include "rpc/capnp_compat.h"  // before any header of Cap'n Proto

#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>
#include <kj/debug.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "coro/kj_await.h"
#include "echo.capnp.h"
#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::seconds;

// All KJ objects of a test live inside one Entered, as they do inside turns.
struct StreamFixture {
  StreamFixture() { Connect(); }

  void Connect(int send_buffer = 0) {
    int pair[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    for (int fd : pair) {
      if (send_buffer > 0) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    }
    left = kj::heap<RingStream>(Socket(host->poller(), pair[0]));
    right = kj::heap<RingStream>(Socket(host->poller(), pair[1]));
  }
  bool Until(bool& flag) {
    return TurnUntil(*host, [&] { return flag; });
  }
  bool Quiet() {
    return TurnUntil(*host, [&] { return host->in_flight() == 0; });
  }

  // Everything that `left` has sent until its shutdown; at most `most` bytes are expected.
  std::string ReadAll(size_t most) {
    std::string all(most + 1, '\0');
    bool is_read = false;
    auto reading = right->tryRead(all.data(), all.size(), all.size())
                       .then([&](size_t got) {
                         is_read = true;
                         all.resize(got);
                       })
                       .eagerlyEvaluate(nullptr);
    REQUIRE(Until(is_read));
    return all;
  }

  std::unique_ptr<RingHost> host = MakeHost();
  coro::Loop::Entered entered{host->loop()};
  kj::Own<RingStream> left, right;
};

kj::ArrayPtr<const kj::byte> BytesOf(const std::string& text) {
  return kj::ArrayPtr<const kj::byte>(reinterpret_cast<const kj::byte*>(text.data()), text.size());
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 4093);
  return bytes;
}

}  // namespace

TEST_CASE_FIXTURE(StreamFixture, "small writes are gathered and sent together at the end of the turn") {
  bool is_written = false;
  auto write = left->write("hel", 3)
                   .then([&] { return left->write("lo", 2); })
                   .then([&] { is_written = true; })
                   .eagerlyEvaluate(nullptr);
  char peek[16];
  CHECK(::recv(KJ_ASSERT_NONNULL(right->getFd()), peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT) < 0);
  REQUIRE(Until(is_written));
  CHECK(::recv(KJ_ASSERT_NONNULL(right->getFd()), peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT) == 5);
}

TEST_CASE_FIXTURE(StreamFixture, "a read keeps to its minimum and maximum, and further bytes are read ahead") {
  char buffer[10] = {};
  std::vector<size_t> sizes;
  bool is_done = false;
  auto reading = right->tryRead(buffer, 4, 4)
                     .then([&](size_t got) {
                       sizes.push_back(got);
                       return right->tryRead(buffer + 4, 1, 3);
                     })
                     .then([&](size_t got) {
                       sizes.push_back(got);
                       return right->tryRead(buffer + 7, 3, 3);
                     })
                     .then([&](size_t got) {
                       sizes.push_back(got);
                       is_done = true;
                     })
                     .eagerlyEvaluate(nullptr);
  const int fd = KJ_ASSERT_NONNULL(left->getFd());
  REQUIRE(::send(fd, "ab", 2, 0) == 2);
  for (int i = 0; i < 3; ++i) host->Turn(Duration::zero());
  CHECK(sizes.empty());
  REQUIRE(::send(fd, "cdefgh", 6, 0) == 6);
  REQUIRE(TurnUntil(*host, [&] { return sizes.size() == 2; }));
  CHECK_FALSE(is_done);
  REQUIRE(::send(fd, "i", 1, 0) == 1);
  left->shutdownWrite();
  REQUIRE(Until(is_done));
  CHECK(sizes == std::vector<size_t>{4, 3, 2});  // the last one reached the end
  CHECK(std::string(buffer, 9) == "abcdefghi");
}

TEST_CASE_FIXTURE(StreamFixture, "G1: gathered bytes that the socket takes in parts all arrive in order") {
  Connect(4096);
  const std::string bytes = Pattern(60'000);
  auto writing = kj::Promise<void>(kj::READY_NOW);
  for (size_t at = 0; at < bytes.size(); at += 100)
    writing = writing.then([&, at] { return left->write(bytes.data() + at, 100); });
  writing = writing.then([&] { left->shutdownWrite(); }).eagerlyEvaluate(nullptr);
  // The bytes of the first turn are more than the socket takes at once.
  for (int i = 0; i < 3; ++i) host->Turn(Duration::zero());
  CHECK(ReadAll(bytes.size()) == bytes);
}

TEST_CASE_FIXTURE(StreamFixture, "G1: 8 MiB pass through tiny buffers, after gathered bytes and before a shutdown") {
  Connect(4096);
  const std::string bytes = Pattern(8 << 20);
  std::vector<kj::ArrayPtr<const kj::byte>> pieces;
  for (size_t at = 10, size = 0; at < bytes.size(); at += size) {
    size = std::min<size_t>(bytes.size() - at, 1 + (at * 31) % 150'000);
    pieces.push_back(BytesOf(bytes).slice(at, at + size));
    pieces.push_back(nullptr);
  }
  const kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> all_pieces(pieces.data(), pieces.size());
  bool is_written = false;
  auto writing = left->write(bytes.data(), 10)
                     .then([&] { return left->write(all_pieces); })
                     .then([&] {
                       is_written = true;
                       left->shutdownWrite();
                     })
                     .eagerlyEvaluate(nullptr);
  CHECK(ReadAll(bytes.size()) == bytes);
  CHECK(is_written);
  CHECK(Quiet());
}

TEST_CASE_FIXTURE(StreamFixture,
                  "G2: dropped reads and writes leave nothing in flight, and a half-sent write breaks the stream") {
  Connect(4096);
  char buffer[10];
  const std::string bytes(1 << 20, 'x');
  {
    auto reading = left->tryRead(buffer, 1, 10).then([](size_t) {}).eagerlyEvaluate(nullptr);
    auto writing = left->write(bytes.data(), bytes.size()).eagerlyEvaluate(nullptr);
    host->Turn(Duration::zero());
    CHECK(host->in_flight() == 2);
  }
  bool has_failed = false;
  auto after =
      left->write("y", 1)
          .then([] {}, [&](kj::Exception&& e) { has_failed = e.getType() == kj::Exception::Type::DISCONNECTED; })
          .eagerlyEvaluate(nullptr);
  REQUIRE(Until(has_failed));
  left = nullptr;
  CHECK(Quiet());
}

TEST_CASE_FIXTURE(StreamFixture, "accepted bytes are sent even if the stream is destroyed") {
  bool is_done = false;
  char buffer[10];
  left->write("last words", 10).detach([](kj::Exception&&) {});
  left = nullptr;
  auto reading = right->tryRead(buffer, 10, 10).then([&](size_t got) { is_done = got == 10; }).eagerlyEvaluate(nullptr);
  REQUIRE(Until(is_done));
}

TEST_CASE_FIXTURE(StreamFixture,
                  "a closed peer is a DISCONNECTED exception, and whenWriteDisconnected resolves") {
  bool is_disconnected = false, has_failed = false;
  auto watch = left->whenWriteDisconnected().then([&] { is_disconnected = true; }).eagerlyEvaluate(nullptr);
  host->Turn(Duration::zero());
  CHECK_FALSE(is_disconnected);
  right = nullptr;
  REQUIRE(Until(is_disconnected));
  const std::string large(100'000, 'x');
  auto write =
      left->write(large.data(), large.size())
          .then([] {}, [&](kj::Exception&& e) { has_failed = e.getType() == kj::Exception::Type::DISCONNECTED; })
          .eagerlyEvaluate(nullptr);
  REQUIRE(Until(has_failed));
  CHECK(Quiet());
}

TEST_CASE_FIXTURE(StreamFixture, "a failed gathered write is reported by the next write") {
  right = nullptr;
  bool is_accepted = false, has_failed = false;
  auto write = left->write("x", 1)
                   .then([&] {
                     is_accepted = true;
                     return kj::evalLater([] {});
                   })
                   .eagerlyEvaluate(nullptr);
  REQUIRE(Until(is_accepted));
  auto next = left->write("y", 1).then([] {}, [&](kj::Exception&&) { has_failed = true; }).eagerlyEvaluate(nullptr);
  REQUIRE(Until(has_failed));
}

// --- Cap'n Proto ---

namespace {

class EchoServer final : public test::Echo::Server {
 public:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setText(context.getParams().getText());
    return kj::READY_NOW;
  }
  kj::Promise<void> hang(HangContext) override { return kj::NEVER_DONE; }
};

// One side of a connection.
struct Side {
  Side(kj::AsyncIoStream& stream, capnp::rpc::twoparty::Side side, capnp::Capability::Client bootstrap)
      : network(stream, side), rpc(capnp::makeRpcServer(network, kj::mv(bootstrap))) {}
  Side(kj::AsyncIoStream& stream)
      : network(stream, capnp::rpc::twoparty::Side::CLIENT), rpc(capnp::makeRpcClient(network)) {}

  test::Echo::Client Bootstrap() {
    capnp::word scratch[4];
    std::memset(scratch, 0, sizeof(scratch));
    capnp::MallocMessageBuilder message(scratch);
    auto id = message.getRoot<capnp::rpc::twoparty::VatId>();
    id.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc.bootstrap(id).castAs<test::Echo>();
  }

  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

using EchoOutcome = coro::KjOutcome<capnp::Response<test::Echo::EchoResults>>;

bool IsEcho(EchoOutcome& outcome, const std::string& text) {
  KJ_IF_MAYBE (response, outcome.value) return response->getText() == BytesOf(text);
  return false;
}

// By reference: g++ 14.2 stops with an internal error at a client that is a coroutine's parameter by value. The client
// outlives the coroutine.
Task<void> CallMany(coro::Loop& loop, test::Echo::Client& echo, int count, size_t size, int& right_answers) {
  const std::string text(size, 'e');
  for (int i = 0; i < count; ++i) {
    auto request = echo.echoRequest();
    request.setText(BytesOf(text));
    kj::Promise<capnp::Response<test::Echo::EchoResults>> promise = request.send();
    auto call = coro::Await(loop, kj::mv(promise));
    auto outcome = co_await call;
    if (outcome.exception != nullptr) co_return;
    if (IsEcho(outcome, text)) ++right_answers;
  }
}

Task<void> Hang(coro::Loop& loop, test::Echo::Client& echo, bool& has_failed) {
  kj::Promise<capnp::Response<test::Echo::HangResults>> promise = echo.hangRequest().send();
  auto call = coro::Await(loop, kj::mv(promise));
  auto outcome = co_await call;
  has_failed = outcome.exception != nullptr;
}

}  // namespace

TEST_CASE_FIXTURE(StreamFixture, "Cap'n Proto's two-party network runs over two connections of one reactor") {
  auto server = std::make_unique<Side>(*right, capnp::rpc::twoparty::Side::SERVER, kj::heap<EchoServer>());
  auto client = std::make_unique<Side>(*left);
  auto left1 = kj::mv(left), right1 = kj::mv(right);
  Connect(8192);
  auto server2 = std::make_unique<Side>(*right, capnp::rpc::twoparty::Side::SERVER, kj::heap<EchoServer>());
  auto client2 = std::make_unique<Side>(*left);
  int right_answers = 0;
  coro::Scope scope(host->loop());
  auto echo = kj::heap<test::Echo::Client>(client->Bootstrap());
  auto echo2 = kj::heap<test::Echo::Client>(client2->Bootstrap());
  scope.Start(CallMany(host->loop(), *echo, 500, 100, right_answers));
  scope.Start(CallMany(host->loop(), *echo, 500, 7, right_answers));
  scope.Start(CallMany(host->loop(), *echo2, 10, 3 << 20, right_answers));
  REQUIRE(TurnUntil(*host, [&] { return scope.size() == 0; }));
  CHECK(right_answers == 1010);

  // A call that hangs ends with its connection.
  bool has_failed = false;
  scope.Start(Hang(host->loop(), *echo, has_failed));
  for (int i = 0; i < 5; ++i) host->Turn(Duration::zero());
  CHECK_FALSE(has_failed);
  server.reset();
  right1 = nullptr;
  REQUIRE(Until(has_failed));
  echo = nullptr;
  echo2 = nullptr;
  client.reset();
  client2.reset();
  server2.reset();
  left1 = nullptr;
  left = nullptr;
  right = nullptr;
  CHECK(Quiet());
}

namespace {

Task<void> AcceptStream(KjListener& listener, kj::Own<kj::AsyncIoStream>& stream) {
  auto accept = listener.Accept();
  auto accepted = co_await accept;
  if (accepted) stream = accepted.value().Take();
}

Task<void> ConnectStream(Network& network, Addr addr, kj::Own<kj::AsyncIoStream>& stream, Error& error) {
  auto connect = network.Connect(addr, seconds(30));
  auto connected = co_await connect;
  if (connected) {
    stream = connected.value().Take();
  } else {
    error = connected.error();
  }
}

// A port that was free a moment before.
Addr FreeAddr(RingHost& host) {
  auto listener = host.ring_network().ListenSocket(Addr("127.0.0.1:0"));
  REQUIRE(listener);
  return listener.value().BoundAddr();
}

}  // namespace

TEST_CASE_FIXTURE(StreamFixture, "streams that the network connects and accepts talk to each other") {
  const Addr addr = FreeAddr(*host);
  auto listener = host->network().Listen(addr);
  REQUIRE(listener);
  kj::Own<kj::AsyncIoStream> client, server;
  Error error;
  coro::Scope scope(host->loop());
  scope.Start(AcceptStream(*listener.value(), server));
  scope.Start(ConnectStream(host->network(), addr, client, error));
  REQUIRE(TurnUntil(*host, [&] { return scope.size() == 0; }));
  REQUIRE(client.get() != nullptr);
  REQUIRE(server.get() != nullptr);
  char buffer[5];
  bool is_done = false;
  auto reading = server->tryRead(buffer, 5, 5).then([&](size_t got) { is_done = got == 5; }).eagerlyEvaluate(nullptr);
  auto writing = client->write("hello", 5).eagerlyEvaluate(nullptr);
  REQUIRE(Until(is_done));
}

TEST_CASE_FIXTURE(StreamFixture, "the network refuses malformed addresses, and a connect to an unused port fails") {
  auto malformed = host->network().Listen(Addr("nowhere"));
  REQUIRE_FALSE(malformed);
  CHECK(malformed.error() == Errc::kInvalidArgument);
  kj::Own<kj::AsyncIoStream> client;
  Error refused, invalid;
  coro::Scope scope(host->loop());
  scope.Start(ConnectStream(host->network(), FreeAddr(*host), client, refused));
  scope.Start(ConnectStream(host->network(), Addr("nowhere"), client, invalid));
  REQUIRE(TurnUntil(*host, [&] { return scope.size() == 0; }));
  CHECK(refused == Errc::kUnreachable);
  CHECK(invalid == Errc::kInvalidArgument);
}

}  // namespace ringraft::reactor
