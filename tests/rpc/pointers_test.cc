// Well-formed frames with hostile pointers, in either direction. I6 and I8 are rows of the catalogue of hazards
// (tests/CATALOGUE.md).
#include <doctest/doctest.h>

#include <functional>

#include "raw_peer.h"
#include "rpc/message_stream.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc hostile pointers");

using PayloadWriter = std::function<void(capnp::rpc::Payload::Builder)>;

struct WrongReply {
  const char* what;
  std::function<void(capnp::rpc::Return::Builder)> write;
};

// Replies that Cap'n Proto accepts as a message, but that do not answer the question.
std::vector<WrongReply> WrongReplies() {
  using Return = capnp::rpc::Return::Builder;
  return {
      {"no content", [](Return to) { to.initResults(); }},
      {"a text", [](Return to) { to.initResults().getContent().setAs<capnp::Text>("HTTP/1.1 400 Bad Request"); }},
      {"a list of bytes", [](Return to) { to.initResults().getContent().initAs<capnp::List<uint8_t>>(100); }},
      {"a list of lists",
       [](Return to) { to.initResults().getContent().initAs<capnp::List<capnp::List<uint64_t>>>(3); }},
      {"an empty struct", [](Return to) { to.initResults().getContent().initAsAnyStruct(0, 0); }},
      {"a struct of another type",
       [](Return to) {
         auto other = to.initResults().getContent().initAsAnyStruct(3, 3);
         other.getPointerSection()[0].setAs<capnp::Text>("no struct");
         other.getPointerSection()[1].initAs<capnp::List<bool>>(9);
       }},
      {"capabilities that are not there",
       [](Return to) {
         auto payload = to.initResults();
         payload.initCapTable(2)[0].setReceiverHosted(99);
         payload.getContent().initAsAnyStruct(0, 2);
       }},
      {"an exception without a reason", [](Return to) { to.initException(); }},
      {"canceled", [](Return to) { to.setCanceled(); }},
      {"results sent elsewhere", [](Return to) { to.setResultsSentElsewhere(); }},
      {"results of a question never asked", [](Return to) { to.setTakeFromOtherQuestion(12345); }},
      {"results of a third party", [](Return to) { to.initAcceptFromThirdParty(); }},
  };
}

// A server that the test plays, for a node to call.
class FakeServer {
 public:
  explicit FakeServer(World& world) : world_(world), port_(FreePort()), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd_, 10) == 0);
  }
  ~FakeServer() { ::close(fd_); }
  Addr addr() const { return Loopback(port_); }
  RawPeer Accept() {
    int accepted = -1;
    world_.RunUntil([&] { return (accepted = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0; });
    return RawPeer(world_, accepted);
  }

 private:
  World& world_;
  uint16_t port_;
  int fd_;
};

// The question number of the next call (or bootstrap).
uint32_t AwaitQuestion(RawPeer& peer) {
  while (true) {
    auto words = peer.AwaitMessage();
    capnp::FlatArrayMessageReader reader(words);
    auto message = reader.getRoot<capnp::rpc::Message>();
    if (message.isBootstrap()) return message.getBootstrap().getQuestionId();
    if (message.isCall()) return message.getCall().getQuestionId();
  }
}

void SendReturn(RawPeer& peer, uint32_t question, const std::function<void(capnp::rpc::Return::Builder)>& write) {
  capnp::MallocMessageBuilder message;
  auto answer = message.initRoot<capnp::rpc::Message>().initReturn();
  answer.setAnswerId(question);
  write(answer);
  peer.Send(message);
}

void WriteDoor(capnp::rpc::Return::Builder to) {
  auto payload = to.initResults();
  capnp::BuilderCapabilityTable table;
  auto imbued = table.imbue(payload);
  imbued.getContent().setAs<capnp::Capability>(capnp::Capability::Client(KJ_EXCEPTION(FAILED, "of the test")));
  payload.initCapTable(1)[0].setSenderHosted(0);
}

// The welcome of node 2, without a session.
void FillWelcome(schema::Welcome::Builder welcome, ClusterId cluster) {
  welcome.setVersion(kProtocolVersion);
  welcome.initFrom().setNode(2);
  welcome.getFrom().initCluster().setHigh(cluster.high);
  welcome.getFrom().getCluster().setLow(cluster.low);
  welcome.getFrom().setIncarnation(2000);
}

void WriteWelcome(capnp::rpc::Return::Builder to, ClusterId cluster) {
  auto payload = to.initResults();
  capnp::BuilderCapabilityTable table;
  auto imbued = table.imbue(payload);
  auto welcome = imbued.getContent().initAs<schema::Door::HandshakeResults>().initWelcome();
  FillWelcome(welcome, cluster);
  welcome.setSession(schema::Session::Client(KJ_EXCEPTION(FAILED, "of the test")));
  payload.initCapTable(1)[0].setSenderHosted(1);
}

// Node `a` calls a server that the test plays, and has bootstrapped its connection; `peer` is the server's end.
struct FakeCall {
  FakeCall() { Reply(WriteDoor); }
  void Reply(const std::function<void(capnp::rpc::Return::Builder)>& write) {
    SendReturn(peer, AwaitQuestion(peer), write);
  }
  void AwaitEnd() {
    world.RunUntil([&] { return call.is_done(); });
  }

  World world;
  Node a{world, 1}, b{world, 2};
  FakeServer server{world};
  Running<AppendEntriesResults> call{world, a.rpc->CallAppendEntries(server.addr(), AppendTo(a, b))};
  RawPeer peer = server.Accept();
};

TEST_CASE("I8: a malformed reply to a call is an error or a refusal, and the node continues") {
  for (const WrongReply& reply : WrongReplies()) {
    const std::string what = reply.what;
    CAPTURE(what);
    FakeCall fake;
    fake.Reply([&](capnp::rpc::Return::Builder to) { WriteWelcome(to, fake.a.identity.cluster); });
    fake.Reply(reply.write);
    fake.AwaitEnd();
    // A struct of another version has no fields: it is read as a reply of term 0, which leaders ignore.
    const auto& result = *fake.call.result;
    if (result) {
      CHECK(!result.value().success);
      CHECK(result.value().term == Term(0));
      CHECK(result.value().durable_match == Index(0));
    }
    if (what.find("struct") == std::string::npos && what != "no content" && what.find("capabilities") != 0)
      CHECK(!result.has_value());
    CheckAlive(fake.world, fake.a, fake.b);
  }
}

TEST_CASE("I8: a malformed reply to the handshake leaves the peer unreachable, and the node continues") {
  for (const WrongReply& reply : WrongReplies()) {
    const std::string what = reply.what;
    CAPTURE(what);
    FakeCall fake;
    fake.Reply(reply.write);
    fake.AwaitEnd();
    const auto& result = *fake.call.result;
    REQUIRE(!result.has_value());
    CHECK((result.error() == Errc::kUnreachable || result.error() == Errc::kWrongVersion));
    CheckAlive(fake.world, fake.a, fake.b);
  }
}

TEST_CASE("I8: a welcome without a session leaves the peer unreachable, and the node continues") {
  FakeCall fake;
  fake.Reply([&](capnp::rpc::Return::Builder to) {
    FillWelcome(to.initResults().getContent().initAs<schema::Door::HandshakeResults>().initWelcome(),
                fake.a.identity.cluster);
  });
  fake.AwaitEnd();
  CHECK(!fake.call.result->has_value());
  CheckAlive(fake.world, fake.a, fake.b);
}

// An append with `count` entries that are all the same bytes: a list of pointers to one address.
std::string AmplifiedAppend(const Node& from, const Node& to, uint32_t count, size_t bytes) {
  capnp::MallocMessageBuilder message(static_cast<uint32_t>(count + bytes / 8 + 1000));
  auto args = InitSessionCall(message, 2, 0)
                  .initParams()
                  .getContent()
                  .initAs<schema::Session::AppendEntriesParams>()
                  .initArgs();
  args.setGroup(7);
  args.setTo(to.id().value());
  args.setTerm(5);
  args.setLeaderId(from.id().value());
  auto entries = args.initEntries(count);
  const BatchRef batch = MakeTestBatch(1, 5, bytes);
  entries.set(0, kj::arrayPtr(reinterpret_cast<const kj::byte*>(batch.bytes().data()), batch.bytes().size()));
  auto words = capnp::messageToFlatArray(message);
  REQUIRE(message.getSegmentsForOutput().size() == 1);
  // The first pointer of the list: to `bytes` bytes, followed by null pointers.
  auto* raw = reinterpret_cast<uint64_t*>(words.begin());
  const uint64_t high = (uint64_t{batch.bytes().size()} << 3 | 2) << 32;
  size_t at = 0;
  for (size_t i = 1; i + 1 < words.size(); ++i)
    if ((raw[i] >> 32 << 32) == high && (raw[i] & 3) == 1 && raw[i + 1] == 0 && at == 0) at = i;
  REQUIRE(at != 0);
  for (uint32_t i = 1; i < count; ++i) raw[at + i] = raw[at] - (uint64_t{i} << 2);
  return std::string(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size());
}

// A hostile peer that has shaken hands with node `b` in the name of `a`.
struct Intruder {
  Intruder() { ShakeHands(peer, a, b); }
  void CheckDisconnected(std::string_view log_line) {
    peer.AwaitEnd();
    CHECK(b.service.appends.empty());
    CHECK(b.logger.Count(log_line) == 1);
    CheckAlive(world, a, b);
  }

  World world;
  Node a{world, 1}, b{world, 2};
  RawPeer peer{world, b};
};

TEST_CASE("I6: a list that refers to the same bytes a thousand times is not followed, and its sender is disconnected") {
  Intruder intruder;
  intruder.peer.Send(AmplifiedAppend(intruder.a, intruder.b, 1000, 100'000));
  intruder.CheckDisconnected("closed the connection: a message from a peer has invalid pointers");
}

// A call with `depth` nested structs as its parameters.
kj::Array<capnp::word> NestedCall(int depth) {
  capnp::MallocMessageBuilder message;
  capnp::AnyPointer::Builder at = InitSessionCall(message, 2, 0).initParams().getContent();
  for (int i = 0; i < depth; ++i) at = at.initAsAnyStruct(0, 1).getPointerSection()[0];
  return capnp::messageToFlatArray(message);
}

struct Ignored final : rpc::MessageStream::Owner {
  void OnStreamEnded(const char*) override {}
};

// Follows the pointers of such a call as the stream delivers it; returns how many it could follow.
int DeliveredDepth(World& world, int depth) {
  auto words = NestedCall(depth);
  auto pipe = kj::newTwoWayPipe();
  Ignored owner;
  rpc::StreamLimits limits;
  limits.max_message_bytes = 1 << 20;
  limits.max_messages = limits.max_unfinished_calls = 10;
  rpc::MessageStream stream(world.loop(), *pipe.ends[0], rpc::Side::kServer, limits, owner);
  int reached = -1;
  auto writing = pipe.ends[1]->write(words.asBytes().begin(), words.asBytes().size()).eagerlyEvaluate(nullptr);
  auto reading = stream.tryReadMessage(nullptr, capnp::ReaderOptions(), nullptr)
                     .then([&](kj::Maybe<capnp::MessageReaderAndFds> received) {
                       reached = 0;
                       auto& message = KJ_ASSERT_NONNULL(received);
                       auto call = message.reader->getRoot<capnp::rpc::Message>().getCall();
                       capnp::AnyPointer::Reader at = call.getParams().getContent();
                       try {
                         for (; reached < depth; ++reached) at = at.getAs<capnp::AnyStruct>().getPointerSection()[0];
                       } catch (const kj::Exception&) {
                       }
                     })
                     .eagerlyEvaluate(nullptr);
  world.RunUntil([&] { return reached >= 0; });
  return reached;
}

TEST_CASE("I6: a received message has a nesting limit, which all regular messages keep") {
  World world;
  CHECK(DeliveredDepth(world, 8) == 8);
  CHECK(DeliveredDepth(world, 1000) <= 24);
  CHECK(DeliveredDepth(world, 1000) > 8);
}

TEST_CASE("I6: a call with parameters nested a thousand deep is refused, and its sender is disconnected") {
  Intruder intruder;
  auto words = NestedCall(1000);
  intruder.peer.Send(std::string_view(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size()));
  intruder.CheckDisconnected("refused a call of node 1");
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
