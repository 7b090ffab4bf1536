// Every field of every message survives encoding.
#include "rpc/codec.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

#include "harness.h"

namespace ringraft::rpc {
namespace {

constexpr uint64_t kMax = UINT64_MAX;

TEST_SUITE_BEGIN("rpc codec");

template <class Message, class T>
Result<T> RoundTrip(const T& value) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<Message>();
  Encode(value, builder);
  return Decode(builder.asReader());
}

template <class Message, class T>
Result<T> AnswerRoundTrip(const Result<T>& value) {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<Message>();
  Encode(value, builder);
  return Decode(builder.asReader());
}

Result<AppendEntriesArgs> AppendRoundTrip(const AppendEntriesArgs& args, size_t* referenced_count = nullptr) {
  std::vector<BatchRef> referenced;
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<schema::AppendEntriesArgs>();
  Encode(args, builder, referenced);
  if (referenced_count != nullptr) *referenced_count = referenced.size();
  return Decode(builder.asReader());
}

void CheckSame(const AppendEntriesArgs& a, const AppendEntriesArgs& b) {
  CHECK(a.group == b.group);
  CHECK(a.to == b.to);
  CHECK(a.term == b.term);
  CHECK(a.leader_id == b.leader_id);
  CHECK(a.prev_index == b.prev_index);
  CHECK(a.prev_term == b.prev_term);
  CHECK(a.leader_commit == b.leader_commit);
  CHECK(a.generation == b.generation);
  REQUIRE(a.entries.size() == b.entries.size());
  for (size_t i = 0; i < a.entries.size(); ++i) CHECK(a.entries[i].bytes() == b.entries[i].bytes());
}

TEST_CASE("I9: an append keeps every field, from zero to the largest numbers") {
  for (uint64_t base : {uint64_t{0}, uint64_t{1}, kMax - 6}) {
    AppendEntriesArgs args;
    args.group = GroupId(base);
    args.to = NodeId(base + 1);
    args.term = Term(base + 2);
    args.leader_id = NodeId(base + 3);
    args.prev_index = Index(base + 4);
    args.prev_term = Term(base + 5);
    args.leader_commit = Index(base + 6);
    args.generation = Generation{base + 5, base + 6};
    auto back = AppendRoundTrip(args);
    REQUIRE(back);
    CheckSame(back.value(), args);
  }
}

TEST_CASE("batches of every size and number survive encoding") {
  AppendEntriesArgs args;
  for (size_t bytes : {0, 1, 7, 8, 4000, 4031, 4032, 5000, 100'001})
    args.entries.push_back(rpc_test::MakeTestBatch(1 + bytes, 3, bytes));
  args.entries.push_back(rpc_test::MakeTestBatch(9, 3, 1 << 20));
  auto back = AppendRoundTrip(args);
  REQUIRE(back);
  CheckSame(back.value(), args);
}

TEST_CASE("large batches are referenced and not copied, up to as many segments as readers take") {
  AppendEntriesArgs args;
  for (uint64_t i = 1; i <= 1000; ++i) args.entries.push_back(rpc_test::MakeTestBatch(i, 1, i % 2 == 0 ? 5000 : 10));
  size_t referenced = 0;
  auto back = AppendRoundTrip(args, &referenced);
  REQUIRE(back);
  CheckSame(back.value(), args);
  CHECK(referenced == kMaxReferences);
}

TEST_CASE("a request's first segment has room for everything that is copied") {
  AppendEntriesArgs args;
  for (uint64_t i = 1; i <= 300; ++i) args.entries.push_back(rpc_test::MakeTestBatch(i, 1, i % 2 == 0 ? 5000 : 1000));
  capnp::MallocMessageBuilder message(static_cast<unsigned>(SizeHint(args).wordCount),
                                      capnp::AllocationStrategy::FIXED_SIZE);
  std::vector<BatchRef> referenced;
  Encode(args, message.initRoot<schema::AppendEntriesArgs>(), referenced);
  CHECK(message.getSegmentsForOutput().size() == 1 + referenced.size());
}

TEST_CASE("a batch with one bit flipped is refused as corrupt") {
  auto batch = rpc_test::MakeTestBatch(1, 1, 100);
  std::string bytes(batch.bytes());
  for (size_t bit = 0; bit < bytes.size() * 8; bit += 5) {
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<schema::AppendEntriesArgs>();
    builder.initEntries(1).set(0, capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
    auto back = Decode(builder.asReader());
    REQUIRE_FALSE(back);
    CHECK(back.error() == Errc::kCorrupt);
    bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  }
}

TEST_CASE("I9: the reply to an append keeps every field") {
  for (bool success : {false, true}) {
    AppendEntriesResults results;
    results.priority = success ? 255 : 0;
    results.is_disk_stalled = success;
    results.term = Term(kMax);
    results.success = success;
    results.durable_match = Index(kMax - 1);
    results.conflict.index = Index(kMax - 2);
    results.conflict.term = Term(kMax - 3);
    auto back = AnswerRoundTrip<schema::AppendEntriesResults>(Result<AppendEntriesResults>(results));
    REQUIRE(back);
    CHECK(back.value().term == results.term);
    CHECK(back.value().success == success);
    CHECK(back.value().priority == results.priority);
    CHECK(back.value().is_disk_stalled == success);
    CHECK(back.value().durable_match == results.durable_match);
    CHECK(back.value().conflict.index == results.conflict.index);
    CHECK(back.value().conflict.term == results.conflict.term);
  }
}

TEST_CASE("I9: a vote request and its reply keep every field") {
  for (bool flag : {false, true}) {
    RequestVoteArgs args;
    args.group = GroupId(kMax);
    args.to = NodeId(2);
    args.term = Term(kMax - 1);
    args.candidate_id = NodeId(kMax - 2);
    args.last_index = Index(kMax - 3);
    args.last_term = Term(kMax - 4);
    args.pre_vote = flag;
    auto back = RoundTrip<schema::RequestVoteArgs>(args);
    REQUIRE(back);
    CHECK(back.value().group == args.group);
    CHECK(back.value().to == args.to);
    CHECK(back.value().term == args.term);
    CHECK(back.value().candidate_id == args.candidate_id);
    CHECK(back.value().last_index == args.last_index);
    CHECK(back.value().last_term == args.last_term);
    CHECK(back.value().pre_vote == flag);

    RequestVoteResults results;
    results.term = Term(kMax);
    results.vote_granted = flag;
    auto answer = AnswerRoundTrip<schema::RequestVoteResults>(Result<RequestVoteResults>(results));
    REQUIRE(answer);
    CHECK(answer.value().term == results.term);
    CHECK(answer.value().vote_granted == flag);
  }
}

TEST_CASE("forwarded commands keep their calls, their order and their bytes") {
  ForwardArgs args;
  args.group = GroupId(kMax);
  args.to = NodeId(3);
  args.timeout = std::chrono::nanoseconds(1'234'567'891);
  args.calls.resize(4);
  args.calls[1].commands.emplace_back("");
  args.calls[2].commands.emplace_back(std::string_view("\0\n\xff", 3));
  args.calls[2].commands.emplace_back(std::string(1 << 20, 'y'));
  for (int i = 0; i < 1000; ++i) args.calls[3].commands.emplace_back(std::to_string(i));
  auto back = RoundTrip<schema::ForwardArgs>(args);
  REQUIRE(back);
  CHECK(back.value().group == args.group);
  CHECK(back.value().to == args.to);
  CHECK(back.value().timeout == args.timeout);
  REQUIRE(back.value().calls.size() == args.calls.size());
  for (size_t i = 0; i < args.calls.size(); ++i) {
    REQUIRE(back.value().calls[i].commands.size() == args.calls[i].commands.size());
    for (size_t j = 0; j < args.calls[i].commands.size(); ++j)
      CHECK(back.value().calls[i].commands[j].view() == args.calls[i].commands[j].view());
  }
}

TEST_CASE("I9: a forwarded call's timeout is never negative, and never so long that a sum overflows") {
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<schema::ForwardArgs>();
  builder.setTimeoutNs(INT64_MAX);
  CHECK(Decode(builder.asReader()).value().timeout == kMaxForwardTimeout);
  builder.setTimeoutNs(INT64_MIN);
  CHECK(Decode(builder.asReader()).value().timeout == Duration::zero());
}

TEST_CASE("outcomes keep their results, their errors, and the leader that an error names") {
  ForwardResults results;
  results.outcomes.resize(4);
  results.outcomes[0].results.emplace_back("one");
  results.outcomes[0].results.emplace_back(std::string(100'000, 'z'));
  results.outcomes[1].error = Error(Errc::kBusy, "a text that stays at home");
  results.outcomes[2].error = Error::NotLeader(Peer(NodeId(kMax), Addr("host:1")));
  results.outcomes[3].error = Error::NotLeader(std::nullopt);
  auto back = AnswerRoundTrip<schema::ForwardResults>(Result<ForwardResults>(std::move(results)));
  REQUIRE(back);
  REQUIRE(back.value().outcomes.size() == 4);
  CHECK(back.value().outcomes[0].error == Errc::kOk);
  REQUIRE(back.value().outcomes[0].results.size() == 2);
  CHECK(back.value().outcomes[0].results[0].view() == "one");
  CHECK(back.value().outcomes[0].results[1].size() == 100'000);
  CHECK(back.value().outcomes[1].error == Errc::kBusy);
  CHECK(back.value().outcomes[1].error.message() == Error(Errc::kBusy).message());
  REQUIRE(back.value().outcomes[2].error.leader());
  CHECK(*back.value().outcomes[2].error.leader() == Peer(NodeId(kMax), Addr("host:1")));
  CHECK(back.value().outcomes[3].error == Errc::kNotLeader);
  CHECK_FALSE(back.value().outcomes[3].error.leader());
}

TEST_CASE("I9: every error code survives in every reply, and an unknown one is kProtocol") {
  for (int code = 1; code <= static_cast<int>(Errc::kProtocol); ++code) {
    const Error error(static_cast<Errc>(code));
    CHECK(AnswerRoundTrip<schema::AppendEntriesResults>(Result<AppendEntriesResults>(error)).error() == error.code());
    CHECK(AnswerRoundTrip<schema::RequestVoteResults>(Result<RequestVoteResults>(error)).error() == error.code());
    CHECK(AnswerRoundTrip<schema::ForwardResults>(Result<ForwardResults>(error)).error() == error.code());
  }
  capnp::MallocMessageBuilder message;
  auto builder = message.initRoot<schema::RequestVoteResults>();
  builder.setErrc(65535);
  CHECK(Decode(builder.asReader()).error() == Errc::kProtocol);
}

TEST_CASE("a handshake keeps every field") {
  Hello hello;
  hello.version = UINT32_MAX;
  hello.from.cluster = ClusterId{kMax, kMax - 1};
  hello.from.node = NodeId(kMax - 2);
  hello.from.incarnation = kMax - 3;
  hello.from.start_count = kMax - 4;
  hello.from.generation = Generation{kMax - 6, kMax - 7};
  hello.to = NodeId(kMax - 5);
  for (Lane lane : {Lane::kControl, Lane::kData, Lane::kForward}) {
    hello.lane = lane;
    auto back = RoundTrip<schema::Hello>(hello);
    REQUIRE(back);
    CHECK(back.value().version == hello.version);
    CHECK(back.value().from.cluster == hello.from.cluster);
    CHECK(back.value().from.node == hello.from.node);
    CHECK(back.value().from.incarnation == hello.from.incarnation);
    CHECK(back.value().from.start_count == hello.from.start_count);
    CHECK(back.value().from.generation == hello.from.generation);
    CHECK(back.value().to == hello.to);
    CHECK(back.value().lane == lane);
  }
  Welcome welcome;
  welcome.errc = Errc::kWrongCluster;
  welcome.version = 7;
  welcome.from = hello.from;
  auto back = RoundTrip<schema::Welcome>(welcome);
  REQUIRE(back);
  CHECK(back.value().errc == welcome.errc);
  CHECK(back.value().version == 7);
  CHECK(back.value().from.start_count == welcome.from.start_count);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc
