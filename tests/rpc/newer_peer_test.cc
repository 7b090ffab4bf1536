// Peers with Cap'n Proto 1.x: the messages that they send and 0.9.2 does not, byte by byte.
// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/any.h>
#include <doctest/doctest.h>
#include <kj/async-io.h>

#include "raw_peer.h"
#include "rpc/message_stream.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc peers with a newer Cap'n Proto");

void InitCallOf(capnp::MallocMessageBuilder& message, uint32_t question) {
  InitCall(message, question, 0, capnp::typeId<schema::Session>(), 0).initParams();
}

// Bit 33 of a Return or a Finish has no accessor in 0.9.2.
template <class Builder>
void SetBit33(Builder builder) {
  const kj::byte* data = capnp::AnyStruct::Reader(builder.asReader()).getDataSection().begin();
  const_cast<kj::byte*>(data)[4] |= 2;
}

// A reply that needs no Finish.
void InitFinalReturn(capnp::MallocMessageBuilder& message, uint32_t question) {
  auto answer = message.initRoot<capnp::rpc::Message>().initReturn();
  answer.setAnswerId(question);
  answer.setReleaseParamCaps(false);
  answer.initResults();
  SetBit33(answer);
}

// As 1.x sends it: requireEarlyCancellationWorkaround, which is stored inverted, is off.
void InitFinish(capnp::MallocMessageBuilder& message, uint32_t question) {
  auto finish = message.initRoot<capnp::rpc::Message>().initFinish();
  finish.setQuestionId(question);
  SetBit33(finish);
}

// The serving end of a connection between the stream and a peer that the test plays. Its RPC system is one of 1.x,
// played by the test, too: the one that is linked may be older.
class ServingEnd final : public rpc::MessageStream::Owner {
 public:
  explicit ServingEnd(World& world)
      : world_(world),
        pipe_(kj::newTwoWayPipe()),
        messages_(world.loop(), *pipe_.ends[0], rpc::Side::kServer, rpc::StreamLimits{1 << 20, UINT64_MAX, 4}, *this) {}
  ~ServingEnd() noexcept {}

  void Receive(void (*init)(capnp::MallocMessageBuilder&, uint32_t), uint32_t question) {
    capnp::MallocMessageBuilder message;
    init(message, question);
    auto words = capnp::messageToFlatArray(message);
    auto writing = pipe_.ends[1]->write(words.asBytes().begin(), words.asBytes().size()).eagerlyEvaluate(nullptr);
    bool has_message = false;
    auto reading = messages_.tryReadMessage(nullptr, capnp::ReaderOptions(), nullptr)
                       .then([&has_message](auto&&) { has_message = true; })
                       .eagerlyEvaluate(nullptr);
    world_.RunUntil([&]() { return has_message || violation != nullptr; });
  }
  void Reply(uint32_t question) {
    capnp::MallocMessageBuilder message;
    InitFinalReturn(message, question);
    auto segments = message.getSegmentsForOutput();
    bool is_written = false;
    kj::byte buffer[1024];
    auto reading = pipe_.ends[1]->tryRead(buffer, 1, sizeof buffer).then([](size_t) {}).eagerlyEvaluate(nullptr);
    auto writing = messages_.writeMessage(nullptr, segments)
                       .then([&is_written]() { is_written = true; })
                       .eagerlyEvaluate(nullptr);
    world_.RunUntil([&]() { return is_written; });
  }
  void OnStreamEnded(const char* what) override { violation = what; }

  const char* violation = nullptr;

 private:
  World& world_;
  kj::TwoWayPipe pipe_;
  rpc::MessageStream messages_;
};

TEST_CASE("J8: a Finish after a reply that needs none is ignored, once for each call") {
  World world;
  ServingEnd end(world);
  for (uint32_t question : {0u, 1u, 2u}) end.Receive(InitCallOf, question);
  for (uint32_t question : {0u, 1u, 2u}) end.Reply(question);
  for (uint32_t question : {1u, 0u, 2u}) end.Receive(InitFinish, question);
  CHECK(end.violation == nullptr);
  end.Receive(InitFinish, 1);
  REQUIRE(end.violation != nullptr);
  CHECK(std::string_view(end.violation) == "it finished a call that it never sent");
}

TEST_CASE("J8: a Finish that crosses the reply on the wire does not count for another call") {
  World world;
  ServingEnd end(world);
  end.Receive(InitCallOf, 0);
  end.Receive(InitCallOf, 1);
  end.Receive(InitFinish, 0);  // cancels it; the reply that follows needs no Finish either
  end.Reply(0);
  end.Receive(InitFinish, 1);
  CHECK(end.violation == nullptr);
}

TEST_CASE("J8: answered calls take no place among the unfinished ones, and their numbers may be used again") {
  World world;
  ServingEnd end(world);
  for (uint32_t i = 0; i < 100; ++i) {
    end.Receive(InitCallOf, i % 4);
    end.Reply(i % 4);
  }
  CHECK(end.violation == nullptr);
  for (uint32_t question : {0u, 1u, 2u, 3u}) end.Receive(InitCallOf, question);
  CHECK(end.violation == nullptr);
  end.Receive(InitCallOf, 4);
  REQUIRE(end.violation != nullptr);
  CHECK(std::string_view(end.violation) == "it has more unfinished calls than max_calls_per_connection");
}

TEST_CASE("J8: of the answered calls only so many are remembered") {
  rpc::UnfinishedCalls calls;
  const uint32_t count = rpc::UnfinishedCalls::kMaxAnswered + 1;
  for (uint32_t question = 0; question < count; ++question) {
    calls.Begin(question);
    calls.OnFinalReply(question);
  }
  CHECK(calls.size() == 0);
  CHECK_FALSE(calls.Finish(0));
  CHECK(calls.Finish(1));
  CHECK(calls.Finish(count - 1));
}

TEST_CASE("J8: a call of a peer with Cap'n Proto 1.x is served, and its Finish accepted") {
  World world;
  Node a(world, 1), b(world, 2);
  RawPeer peer(world, b);
  ShakeHands(peer, a, b);
  for (uint32_t question = 2; question < 10; ++question) {
    capnp::MallocMessageBuilder message;
    auto params = InitSessionCall(message, question, 0).initParams().getContent();
    std::vector<BatchRef> referenced;
    rpc::Encode(AppendTo(a, b), params.initAs<schema::Session::AppendEntriesParams>().initArgs(), referenced);
    peer.Send(message);
    peer.AwaitMessage();
    capnp::MallocMessageBuilder finish;
    InitFinish(finish, question);
    peer.Send(finish);
  }
  world.RunUntil([&]() { return b.service.finished == 8; });
  CHECK(peer.Receive());
  CheckAlive(world, a, b);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
