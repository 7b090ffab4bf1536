// Frames of the right form whose pointers mean harm, in either direction.
#include <doctest/doctest.h>

#include <functional>

#include "raw_peer.h"
#include "rpc/message_stream.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc hostile pointers");

using PayloadWriter = std::function<void(capnp::rpc::Payload::Builder)>;

struct Reply {
  const char* what;
  std::function<void(capnp::rpc::Return::Builder)> write;
};

// Answers that Cap'n Proto accepts as a message, and that are no answer to the question.
std::vector<Reply> WrongReplies() {
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

// A server of the test's own, that a node calls.
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

// The question of the next call (or bootstrap).
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

void WriteWelcome(capnp::rpc::Return::Builder to, ClusterId cluster) {
  auto payload = to.initResults();
  capnp::BuilderCapabilityTable table;
  auto imbued = table.imbue(payload);
  auto welcome = imbued.getContent().initAs<schema::Door::HandshakeResults>().initWelcome();
  welcome.setVersion(kProtocolVersion);
  welcome.initFrom().setNode(2);
  welcome.getFrom().initCluster().setHigh(cluster.high);
  welcome.getFrom().getCluster().setLow(cluster.low);
  welcome.getFrom().setIncarnation(2000);
  welcome.setSession(schema::Session::Client(KJ_EXCEPTION(FAILED, "of the test")));
  payload.initCapTable(1)[0].setSenderHosted(1);
}

TEST_CASE("I8: a malformed reply to a call is an error or a refusal, and the node continues") {
  for (const Reply& reply : WrongReplies()) {
    const std::string what = reply.what;
    CAPTURE(what);
    World world;
    Node a(world, 1), b(world, 2);
    FakeServer server(world);
    Running<AppendEntriesResults> call(world, a.rpc->CallAppendEntries(server.addr(), AppendTo(a, b)));
    RawPeer peer = server.Accept();
    SendReturn(peer, AwaitQuestion(peer), WriteDoor);
    SendReturn(peer, AwaitQuestion(peer),
               [&](capnp::rpc::Return::Builder to) { WriteWelcome(to, a.identity.cluster); });
    SendReturn(peer, AwaitQuestion(peer), reply.write);
    world.RunUntil([&] { return call.is_done(); });
    // A struct of another version has no fields: it is read as an answer of term 0, which no leader listens to.
    if (*call.result) {
      CHECK(!call.result->value().success);
      CHECK(call.result->value().term == Term(0));
      CHECK(call.result->value().durable_match == Index(0));
    }
    if (what.find("struct") == std::string::npos && what != "no content" && what.find("capabilities") != 0)
      CHECK(!call.result->has_value());
    CheckAlive(world, a, b);
  }
}

TEST_CASE("I8: a malformed reply to the handshake leaves the peer unreachable, and the node continues") {
  for (const Reply& reply : WrongReplies()) {
    const std::string what = reply.what;
    CAPTURE(what);
    World world;
    Node a(world, 1), b(world, 2);
    FakeServer server(world);
    Running<AppendEntriesResults> call(world, a.rpc->CallAppendEntries(server.addr(), AppendTo(a, b)));
    RawPeer peer = server.Accept();
    SendReturn(peer, AwaitQuestion(peer), WriteDoor);
    SendReturn(peer, AwaitQuestion(peer), reply.write);
    world.RunUntil([&] { return call.is_done(); });
    REQUIRE(!call.result->has_value());
    CHECK((call.result->error() == Errc::kUnreachable || call.result->error() == Errc::kWrongVersion));
    CheckAlive(world, a, b);
  }
}

TEST_CASE("I8: a welcome without a session leaves the peer unreachable, and the node continues") {
  World world;
  Node a(world, 1), b(world, 2);
  FakeServer server(world);
  Running<AppendEntriesResults> call(world, a.rpc->CallAppendEntries(server.addr(), AppendTo(a, b)));
  RawPeer peer = server.Accept();
  SendReturn(peer, AwaitQuestion(peer), WriteDoor);
  SendReturn(peer, AwaitQuestion(peer), [&](capnp::rpc::Return::Builder to) {
    auto payload = to.initResults();
    auto welcome = payload.getContent().initAs<schema::Door::HandshakeResults>().initWelcome();
    welcome.setVersion(kProtocolVersion);
    welcome.initFrom().setNode(2);
    welcome.getFrom().initCluster().setHigh(a.identity.cluster.high);
    welcome.getFrom().getCluster().setLow(a.identity.cluster.low);
    welcome.getFrom().setIncarnation(2000);
  });
  world.RunUntil([&] { return call.is_done(); });
  CHECK(!call.result->has_value());
  CheckAlive(world, a, b);
}

// An append whose `count` entries are all the same bytes: a list of pointers to one place.
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
  // The first pointer of the list: of `bytes` bytes, followed by null ones.
  auto* raw = reinterpret_cast<uint64_t*>(words.begin());
  const uint64_t high = (uint64_t{batch.bytes().size()} << 3 | 2) << 32;
  size_t at = 0;
  for (size_t i = 1; i + 1 < words.size(); ++i)
    if ((raw[i] >> 32 << 32) == high && (raw[i] & 3) == 1 && raw[i + 1] == 0 && at == 0) at = i;
  REQUIRE(at != 0);
  for (uint32_t i = 1; i < count; ++i) raw[at + i] = raw[at] - (uint64_t{i} << 2);
  return std::string(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size());
}

TEST_CASE("I6: a list that refers to the same bytes a thousand times is not followed, and its sender is disconnected") {
  World world;
  Node a(world, 1), b(world, 2);
  RawPeer peer(world, b);
  ShakeHands(peer, a, b);
  peer.Send(AmplifiedAppend(a, b, 1000, 100'000));
  peer.AwaitEnd();
  CHECK(b.service.appends.empty());
  CHECK(b.logger.Count("closed the connection: a message from a peer has pointers that make no sense") == 1);
  CheckAlive(world, a, b);
}

// A call whose parameters are `depth` structs, one in the other.
kj::Array<capnp::word> NestedCall(int depth) {
  capnp::MallocMessageBuilder message;
  capnp::AnyPointer::Builder at = InitSessionCall(message, 2, 0).initParams().getContent();
  for (int i = 0; i < depth; ++i) at = at.initAsAnyStruct(0, 1).getPointerSection()[0];
  return capnp::messageToFlatArray(message);
}

struct Ignored final : rpc::MessageStream::Owner {
  void OnStreamEnded(const char*) override {}
};

// Follows the pointers of such a call as it comes out of the stream; how many it may.
int DepthGivenOut(World& world, int depth) {
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

TEST_CASE("I6: a received message has a nesting limit that our own messages keep to") {
  World world;
  CHECK(DepthGivenOut(world, 8) == 8);
  CHECK(DepthGivenOut(world, 1000) <= 24);
  CHECK(DepthGivenOut(world, 1000) > 8);
}

TEST_CASE("I6: a call with parameters nested a thousand deep is refused, and its sender is disconnected") {
  World world;
  Node a(world, 1), b(world, 2);
  RawPeer peer(world, b);
  ShakeHands(peer, a, b);
  auto words = NestedCall(1000);
  peer.Send(std::string_view(reinterpret_cast<const char*>(words.asBytes().begin()), words.asBytes().size()));
  peer.AwaitEnd();
  CHECK(b.service.appends.empty());
  CHECK(b.logger.Count("refused a call of node 1") == 1);
  CheckAlive(world, a, b);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
