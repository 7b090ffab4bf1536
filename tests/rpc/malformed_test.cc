// A node and its peers keep working whatever bytes arrive. I2 to I10 are rows of the catalogue of hazards
// (tests/CATALOGUE.md).
// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <doctest/doctest.h>
#include <malloc.h>

#include <random>

#include "raw_peer.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc malformed peers");

// The bytes that are allocated and not freed.
size_t AllocatedBytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}
// False if a sanitizer has its own allocator.
bool CanMeasure() {
  const size_t before = AllocatedBytes();
  const std::vector<char> large(size_t{4} << 20);
  return AllocatedBytes() - before >= large.size();
}

TEST_CASE("random bytes close the connection, and only one line a second is logged") {
  World world;
  Node a(world, 1), b(world, 2);
  std::mt19937_64 random(1);
  for (int i = 0; i < 50; ++i) {
    RawPeer peer(world, b);
    std::string bytes(1 + random() % 5000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    bytes[3] |= static_cast<char>(0x80);  // certainly more segments than any message has
    if (bytes.size() < 8) bytes.resize(8);
    peer.Send(bytes);
    peer.AwaitEnd();
  }
  CHECK(b.logger.lines.size() >= 1);
  CHECK(b.logger.lines.size() <= 30);
  CheckAlive(world, a, b);
}

TEST_CASE("I6: random bytes in a frame of the right length close the connection") {
  World world;
  Node a(world, 1), b(world, 2);
  std::mt19937_64 random(2);
  for (int i = 0; i < 50; ++i) {
    RawPeer peer(world, b);
    std::string bytes(8 + 8 * (1 + random() % 400), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    const uint32_t head[2] = {0, static_cast<uint32_t>(bytes.size() / 8 - 1)};
    memcpy(bytes.data(), head, sizeof head);
    peer.Send(bytes);
    peer.AwaitEnd();
  }
  CheckAlive(world, a, b);
}

TEST_CASE("I2, I3: no header alone keeps an unknown peer's connection open") {
  World world;
  Node a(world, 1), b(world, 2);
  for (uint32_t segments : {0u, 1u, 511u, 512u, 0xfffffffeu, 0xffffffffu}) {
    for (uint32_t words : {0u, 600u, 8u << 20, 0xffffffffu}) {
      CAPTURE(segments);
      CAPTURE(words);
      RawPeer peer(world, b);
      std::vector<uint32_t> head{segments};
      for (uint32_t i = 0; i <= segments % 512; ++i) head.push_back(words);
      if (head.size() % 2 == 1) head.push_back(0);
      peer.Send(std::string_view(reinterpret_cast<const char*>(head.data()), head.size() * 4));
      peer.AwaitEnd();
    }
  }
  CheckAlive(world, a, b);
}

// The memory that a peer in session can make a node allocate by a header alone: of a message as large as the limit.
TEST_CASE("I3: fifty peers that announce the largest message, and send none of it, do not get its memory") {
  World world;
  Node a(world, 1), b(world, 2);
  CheckAlive(world, a, b);
  const size_t before = AllocatedBytes();
  std::vector<RawPeer> peers;
  for (int i = 0; i < 50; ++i) {
    peers.emplace_back(world, b);
    ShakeHands(peers.back(), a, b);
    const uint32_t head[2] = {0, static_cast<uint32_t>(RpcOptions().max_message_bytes / 8)};
    peers.back().Send(std::string_view(reinterpret_cast<const char*>(head), sizeof head));
  }
  world.RunFor(std::chrono::milliseconds(20));
  if (CanMeasure()) {
    const size_t grown = AllocatedBytes() - before;
    CAPTURE(grown);
    CHECK(grown / 50 > (size_t{1} << 20));  // each has its first buffer, so the measurement works
    CHECK(grown / 50 < (size_t{2} << 20));
  }
  for (RawPeer& peer : peers) CHECK(peer.Receive());
  CheckAlive(world, a, b);
}

TEST_CASE("I7: before a handshake only the two handshakes can be called, and the refusal quotes nothing internal") {
  World world;
  Node a(world, 1), b(world, 2);
  for (uint64_t interface_id : {capnp::typeId<schema::Session>(), capnp::typeId<schema::Admin>(),
                                capnp::typeId<schema::Door>(), uint64_t{12345}}) {
    for (uint16_t method : {uint16_t{0}, uint16_t{1}, uint16_t{2}, uint16_t{999}}) {
      if (interface_id == capnp::typeId<schema::Door>() && method <= 1) continue;
      RawPeer peer(world, b);
      SendBootstrap(peer, 0);
      capnp::MallocMessageBuilder message;
      InitCall(message, 1, 0, interface_id, method).initParams();
      peer.Send(message);
      peer.AwaitMessage();  // the door itself
      auto words = peer.AwaitMessage();
      capnp::FlatArrayMessageReader reader(words);
      auto answer = reader.getRoot<capnp::rpc::Message>().getReturn();
      REQUIRE(answer.isException());
      std::string reason(answer.getException().getReason().cStr());
      CHECK(reason.find_last_not_of(' ') < 16);
      CHECK(reason.find("the call failed") == 0);
    }
  }
  CHECK(b.service.appends.empty());
  CheckAlive(world, a, b);
}

TEST_CASE("another protocol version is refused, and the reply names the own version") {
  World world;
  Node a(world, 1), b(world, 2);
  RawPeer peer(world, b);
  SendBootstrap(peer, 0);
  rpc::Hello hello = GoodHello(a, b);
  hello.version = 99;
  SendHello(peer, 1, hello);
  peer.AwaitMessage();
  auto words = peer.AwaitMessage();
  capnp::FlatArrayMessageReader reader(words);
  auto answer = reader.getRoot<capnp::rpc::Message>().getReturn();
  REQUIRE(answer.isResults());
  auto welcome = rpc::Decode(answer.getResults().getContent().getAs<schema::Door::HandshakeResults>().getWelcome());
  REQUIRE(welcome);
  CHECK(welcome.value().errc == Errc::kWrongVersion);
  CHECK(welcome.value().version == kProtocolVersion);
  CHECK(b.logger.Count("speaks version 99 of the protocol, this node version 1") == 1);
  CHECK(b.service.handshakes.empty());
}

TEST_CASE("more messages than a handshake needs close a connection without a handshake") {
  World world;
  Node a(world, 1), b(world, 2);
  RawPeer peer(world, b);
  for (uint32_t i = 0; i < 100; ++i) SendBootstrap(peer, i);
  peer.AwaitEnd();
  CheckAlive(world, a, b);
}

TEST_CASE("I10: contradictory messages close the connection without a reply") {
  World world;
  Node a(world, 1), b(world, 2);
  {
    RawPeer peer(world, b);
    SendBootstrap(peer, 0);
    SendBootstrap(peer, 0);  // the same question twice
    peer.AwaitEnd();
  }
  {
    RawPeer peer(world, b);
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initFinish().setQuestionId(7);
    peer.Send(message);
    peer.AwaitEnd();
  }
  {
    RawPeer peer(world, b);
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::rpc::Message>().initReturn().setAnswerId(7);
    peer.Send(message);
    peer.AwaitEnd();
  }
  CheckAlive(world, a, b);
}

TEST_CASE("a corrupt batch is refused as corrupt, its connection closed, and the next one works") {
  World world;
  RpcOptions options;
  options.retry_delay = std::chrono::milliseconds(0);
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  for (size_t bytes : {size_t{10}, size_t{100'000}}) {
    for (size_t bit : {size_t{0}, size_t{70}, size_t{500}, bytes * 8}) {
      BatchRef batch = MakeTestBatch(1, 5, bytes);
      const_cast<char*>(batch.bytes().data())[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      const size_t handshakes = b.service.handshakes.size();
      auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {batch})));
      REQUIRE_FALSE(result);
      CHECK(result.error() == Errc::kCorrupt);
      world.RunUntil([&]() {
        return bool(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)}))));
      });
      CHECK(b.service.handshakes.size() > handshakes);
    }
  }
  for (const AppendEntriesArgs& args : b.service.appends) CHECK(args.entries[0].size() < 100);
}

TEST_CASE("a connection that ends within a message does no harm") {
  World world;
  Node a(world, 1), b(world, 2);
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(1);
  auto words = capnp::messageToFlatArray(message);
  std::string bytes(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size());
  for (size_t i = 0; i < bytes.size(); ++i) {
    RawPeer peer(world, b);
    peer.Send(bytes.substr(0, i));
    if (i % 3 == 0) world.reactor().RunOnce(Duration(0));
  }
  CheckAlive(world, a, b);
}

TEST_CASE("I5: a hundred silent connections are closed after idle_handshake, and keep no peer out") {
  World world;
  RpcOptions options;
  options.idle_handshake = std::chrono::milliseconds(100);
  Node a(world, 1), b(world, 2, ClusterId{1, 2}, options);
  std::vector<RawPeer> peers;
  for (int i = 0; i < 100; ++i) peers.emplace_back(world, b);
  CheckAlive(world, a, b);
  for (RawPeer& peer : peers) peer.AwaitEnd();
  CheckAlive(world, a, b);
  CHECK(b.logger.Count("no handshake within idle_handshake") >= 1);
}

TEST_CASE("more connections than the limit are closed at once") {
  World world;
  RpcOptions options;
  options.max_connections = 4;
  Node a(world, 1), b(world, 2, ClusterId{1, 2}, options);
  CheckAlive(world, a, b);
  std::vector<RawPeer> peers;
  for (int i = 0; i < 4; ++i) peers.emplace_back(world, b);
  peers.back().AwaitEnd();
  CHECK(b.logger.Count("max_connections") == 1);
  CheckAlive(world, a, b);
}

TEST_CASE("I4: 2000 unfinished calls exceed a connection's limit, and do not affect other connections") {
  World world;
  Node a(world, 1), b(world, 2), c(world, 3);
  b.service.Hold();
  std::vector<std::unique_ptr<Running<AppendEntriesResults>>> calls;
  for (int i = 0; i < 2000; ++i)
    calls.push_back(std::make_unique<Running<AppendEntriesResults>>(
        world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)}))));
  world.RunUntil([&]() { return calls.back()->is_done(); });
  for (auto& call : calls) {
    REQUIRE(call->is_done());
    CHECK(call->result->error() == Errc::kUnknown);
  }
  CHECK(b.service.appends.size() <= 1024);
  CHECK(b.logger.Count("more unfinished calls than max_calls_per_connection") == 1);
  b.service.LetGo();
  CheckAlive(world, c, b);
}

TEST_CASE("B14: a message over the limit closes the connection, and one below it passes") {
  World world;
  RpcOptions options;
  options.max_message_bytes = 1 << 20;
  Node a(world, 1), b(world, 2, ClusterId{1, 2}, options);
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 1'000'000)}))));
  auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 1'100'000)})));
  CHECK(result.error() == Errc::kUnknown);
  CHECK(b.logger.Count("max_message_bytes") == 1);
}

TEST_CASE("B14: a message over the sender's own limit is not sent, and the connection survives") {
  World world;
  RpcOptions options;
  options.max_message_bytes = 1 << 20;
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2, ClusterId{1, 2}, options);
  CheckAlive(world, a, b);
  for (size_t bytes : {size_t{1'048'000}, size_t{5'000'000}}) {
    auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, bytes)})));
    CHECK(result.error() == Errc::kTooLarge);
  }
  CheckAlive(world, a, b);
  CHECK(b.service.handshakes.size() == 1);
}

TEST_CASE("I8: a server that replies with garbage is unreachable") {
  World world;
  Node a(world, 1), b(world, 2);
  const uint16_t port = FreePort();
  auto listener = world.reactor().host().network().Listen(Loopback(port));
  REQUIRE(listener);
  Running<AppendEntriesResults> call(world, a.rpc->CallAppendEntries(Loopback(port), AppendTo(a, b)));
  auto accepting = listener.value()->Accept();
  struct Accepted {
    static Task<void> Run(Task<Result<reactor::KjStream>> accepting, kj::Own<kj::AsyncIoStream>& stream) {
      Result<reactor::KjStream> accepted = co_await accepting;
      stream = accepted.value().Take();
    }
  };
  kj::Own<kj::AsyncIoStream> stream;
  world.scope().Start(Accepted::Run(std::move(accepting), stream));
  world.RunUntil([&]() { return stream.get() != nullptr; });
  static const char garbage[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
  auto writing = stream->write(garbage, sizeof garbage).eagerlyEvaluate(nullptr);
  world.RunUntil([&]() { return call.is_done(); });
  CHECK(call.result->error() == Errc::kUnreachable);
  CHECK(a.logger.lines.size() == 1);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
