// Calls between two transports: order, lanes, timeouts, lost connections, memory.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "harness.h"

namespace ringraft::rpc_test {
namespace {

using std::chrono::milliseconds;

TEST_SUITE_BEGIN("rpc calls");

TEST_CASE("each of the three calls reaches the service and returns its reply") {
  World world;
  Node a(world, 1), b(world, 2);
  AppendEntriesResults appended;
  appended.success = true;
  appended.durable_match = Index(17);
  b.service.append_answer = appended;

  AppendEntriesArgs append = AppendTo(a, b, {MakeTestBatch(1, 5, 100), MakeTestBatch(2, 5, 1 << 20)});
  append.leader_commit = Index(3);
  append.timeout_now = true;
  auto append_result = Finish(world, a.rpc->CallAppendEntries(b.addr(), append));
  REQUIRE(append_result);
  CHECK(append_result.value().durable_match == Index(17));
  REQUIRE(b.service.appends.size() == 1);
  CHECK(b.service.appends[0].leader_commit == Index(3));
  CHECK(b.service.appends[0].timeout_now);
  REQUIRE(b.service.appends[0].entries.size() == 2);
  CHECK(b.service.appends[0].entries[1].bytes() == append.entries[1].bytes());

  RequestVoteArgs vote;
  vote.to = b.id();
  vote.candidate_id = a.id();
  vote.term = Term(9);
  vote.pre_vote = true;
  vote.is_transfer = true;
  auto vote_result = Finish(world, a.rpc->CallRequestVote(b.addr(), vote));
  REQUIRE(vote_result);
  REQUIRE(b.service.votes.size() == 1);
  CHECK(b.service.votes[0].pre_vote);
  CHECK(b.service.votes[0].is_transfer);

  ForwardArgs forward;
  forward.to = b.id();
  forward.timeout = std::chrono::seconds(20);
  forward.calls.resize(1);
  forward.calls[0].commands.emplace_back("hello");
  auto forward_result = Finish(world, a.rpc->CallForward(b.addr(), std::move(forward)));
  REQUIRE(forward_result);
  REQUIRE(forward_result.value().outcomes.size() == 1);
  CHECK(forward_result.value().outcomes[0].results[0].view() == "hello");

  // Both ends have learned the other's identity on each of the three connections.
  CHECK(b.service.handshakes.size() == 3);
  CHECK(a.service.handshakes.size() == 3);
  CHECK(a.service.handshakes[0].incarnation == 2000);
  CHECK(b.service.handshakes[0].start_count == 3);
}

TEST_CASE("a service's error arrives as its code, with the leader that it names") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.append_answer = Error(Errc::kFull, "internal text");
  auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b)));
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::kFull);
  CHECK(result.error().message().find("internal") == std::string::npos);
  b.service.forward_error = Error::NotLeader(Peer(NodeId(3), Addr("c:3")));
  ForwardArgs forward;
  forward.to = b.id();
  forward.timeout = std::chrono::seconds(20);
  auto forwarded = Finish(world, a.rpc->CallForward(b.addr(), std::move(forward)));
  REQUIRE_FALSE(forwarded);
  REQUIRE(forwarded.error().leader());
  CHECK(forwarded.error().leader()->id == NodeId(3));
}

TEST_CASE("calls start in sending order, also those sent before there is a connection") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.Hold();
  std::vector<std::unique_ptr<Running<AppendEntriesResults>>> calls;
  auto send = [&](uint64_t i) {
    auto args = AppendTo(a, b, {MakeTestBatch(i, 5, i % 3 == 0 ? 50'000 : 10)});
    args.prev_index = Index(i);
    calls.push_back(
        std::make_unique<Running<AppendEntriesResults>>(world, a.rpc->CallAppendEntries(b.addr(), std::move(args))));
  };
  for (uint64_t i = 1; i <= 20; ++i) send(i);
  uint64_t next = 21;
  // Some are sent in the very turns in which the connection is made and the waiting calls continue.
  world.RunUntil([&]() {
    if (next <= 100) send(next++);
    return b.service.appends.size() == 100;
  });
  for (uint64_t i = 0; i < 100; ++i) CHECK(b.service.appends[i].prev_index == Index(i + 1));
  CHECK(b.service.finished == 0);
  b.service.LetGo();
  world.RunUntil([&]() { return calls.back()->is_done(); });
}

TEST_CASE("B21: heartbeats and votes continue while the data connection is blocked") {
  World world;
  Node a(world, 1), b(world, 2);
  Proxy proxy(world, b.addr());
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))));  // connection 0
  REQUIRE(Finish(world,
                 a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)}))));  // connection 1
  REQUIRE(proxy.connections() == 2);
  proxy.Pause(1);
  Running<AppendEntriesResults> data(
      world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b, {MakeTestBatch(2, 5, 16 << 20)})));
  for (int i = 0; i < 10; ++i) CHECK(Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))));
  CHECK_FALSE(data.is_done());
  proxy.Resume(1);
  world.RunUntil([&]() { return data.is_done(); });
  CHECK(*data.result);
}

TEST_CASE("a dropped call is abandoned, and the connection survives") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.Hold();
  for (int i = 0; i < 20; ++i) {
    Running<AppendEntriesResults> call(world,
                                       a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 9000)})));
    if (i % 2 == 0)
      world.RunUntil([&]() { return b.service.appends.size() > b.service.finished + static_cast<size_t>(i) / 2; });
  }
  b.service.LetGo();
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)}))));
  CHECK(b.service.handshakes.size() <= 2);
}

TEST_CASE("a peer that crashes during a call leaves it unknown, and is reached again after its restart") {
  World world;
  RpcOptions options;
  options.retry_delay = milliseconds(1);
  Node a(world, 1, ClusterId{1, 2}, options);
  auto b = std::make_unique<Node>(world, 2);
  const uint16_t port = b->port;
  b->service.Hold();
  Running<AppendEntriesResults> call(world,
                                     a.rpc->CallAppendEntries(b->addr(), AppendTo(a, *b, {MakeTestBatch(1, 5, 10)})));
  world.RunUntil([&]() { return b->service.appends.size() == 1; });
  b.reset();
  world.RunUntil([&]() { return call.is_done(); });
  CHECK(call.result->error() == Errc::kUnknown);
  CHECK(a.logger.Count("lost the data connection") == 1);

  AppendEntriesArgs args;
  args.to = NodeId(2);
  args.leader_id = a.id();
  world.RunUntil(
      [&]() { return Finish(world, a.rpc->CallAppendEntries(Loopback(port), args)).error() == Errc::kUnreachable; });

  Node again(world, 2);
  again.rpc->Close();
  again.rpc = MakeCapnpRpc(world.reactor());
  again.rpc->Register(again.service, [&]() { return again.identity; });
  REQUIRE(again.rpc->Listen(Loopback(port)));
  REQUIRE(again.rpc->Serve());
  world.RunUntil([&]() { return bool(Finish(world, a.rpc->CallAppendEntries(Loopback(port), args))); });
}

TEST_CASE("a silent connection to an earlier start of the peer is dropped, and a later call reaches the new start") {
  World world;
  RpcOptions options;
  options.retry_delay = milliseconds(0);
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  Proxy proxy(world, b.addr());
  auto send = [&]() { return Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))); };
  REQUIRE(send());
  // The machine loses power: its end of the connection is not closed. Then it is back.
  proxy.Pause(0);
  b.identity.start_count += 1;
  a.service.least_start = b.identity.start_count;
  auto refused = send();
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Errc::kWrongNode);
  CHECK(send());
  CHECK(proxy.connections() == 2);
  CHECK(b.service.appends.size() == 2);
}

TEST_CASE("calls in flight to an earlier start of the peer end unknown when the next call detects the restart") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.Hold();
  Running<AppendEntriesResults> in_flight(
      world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)})));
  world.RunUntil([&]() { return b.service.appends.size() == 1; });
  a.service.least_start = b.identity.start_count + 1;
  auto send = [&]() {
    return Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(2, 5, 10)})));
  };
  CHECK(send().error() == Errc::kWrongNode);
  world.RunUntil([&]() { return in_flight.is_done(); });
  CHECK(in_flight.result->error() == Errc::kUnknown);
  CHECK(send().error() == Errc::kUnreachable);  // until retry_delay is over
  CHECK(b.service.appends.size() == 1);
  CHECK(a.logger.Count("lost the data connection") == 1);
}

TEST_CASE("a peer of the wrong incarnation is refused by the handshake of the next attempt") {
  World world;
  RpcOptions options;
  options.retry_delay = milliseconds(0);
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  auto send = [&]() { return Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))); };
  REQUIRE(send());
  a.service.least_start = b.identity.start_count + 1;
  for (int i = 0; i < 3; ++i) CHECK(send().error() == Errc::kWrongNode);
  CHECK(a.logger.Count("an earlier start") == 1);
  CHECK(b.service.appends.size() == 1);
}

TEST_CASE("an unused port is unreachable, and calls fail at once until the retry delay is over") {
  World world;
  RpcOptions options;
  options.retry_delay = std::chrono::hours(1);
  Node a(world, 1, ClusterId{1, 2}, options);
  AppendEntriesArgs args;
  args.to = NodeId(2);
  args.leader_id = a.id();
  const Addr unused = Loopback(FreePort());
  for (int i = 0; i < 5; ++i) {
    auto result = Finish(world, a.rpc->CallAppendEntries(unused, args));
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::kUnreachable);
    CHECK(result.error().message().find(unused.text()) != std::string::npos);
  }
  CHECK(a.logger.lines.size() == 1);
  auto listener = world.reactor().host().network().Listen(unused);
  REQUIRE(listener);
  CHECK(Finish(world, a.rpc->CallAppendEntries(unused, args)).error().message().find("cannot reach") == 0);
}

TEST_CASE("an append or a vote without a reply times out and closes its connection") {
  World world;
  RpcOptions options;
  options.call_timeout = milliseconds(50);
  options.retry_delay = milliseconds(0);
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  b.service.Hold();
  auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)})));
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::kTimedOut);
  b.service.LetGo();
  CHECK(b.service.handshakes.size() == 1);
  world.RunUntil([&]() {
    return bool(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)}))));
  });
  CHECK(b.service.handshakes.size() >= 2);
}

TEST_CASE("a forwarded call has its own deadline, and the connection survives it while the peer sends anything") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.Hold();
  ForwardArgs args;
  args.to = b.id();
  args.timeout = milliseconds(20);
  auto result = Finish(world, a.rpc->CallForward(b.addr(), std::move(args)));
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::kTimedOut);
  b.service.LetGo();
  ForwardArgs second;
  second.to = b.id();
  second.timeout = std::chrono::seconds(20);
  CHECK(Finish(world, a.rpc->CallForward(b.addr(), std::move(second))));
  CHECK(b.service.handshakes.size() == 1);
}

TEST_CASE("an unanswered handshake makes the peer unreachable after the connect timeout") {
  World world;
  RpcOptions options;
  options.connect_timeout = milliseconds(50);
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  // A listener without a server: the kernel accepts, and no reply ever comes.
  const uint16_t port = FreePort();
  auto listener = world.reactor().host().network().Listen(Loopback(port));
  REQUIRE(listener);
  auto result = Finish(world, a.rpc->CallAppendEntries(Loopback(port), AppendTo(a, b)));
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::kUnreachable);
}

TEST_CASE("close ends calls in flight and calls that wait for a connection with kStopped") {
  World world;
  Node a(world, 1), b(world, 2);
  b.service.Hold();
  Running<AppendEntriesResults> in_flight(
      world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)})));
  world.RunUntil([&]() { return b.service.appends.size() == 1; });
  ForwardArgs forward;
  forward.to = b.id();
  forward.timeout = std::chrono::seconds(20);
  Running<ForwardResults> waiting(world, a.rpc->CallForward(b.addr(), std::move(forward)));
  a.rpc->Close();
  b.rpc->Close();
  auto late = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b)));
  CHECK(late.error() == Errc::kStopped);
  world.RunUntil([&]() { return in_flight.is_done() && waiting.is_done(); });
  CHECK(in_flight.result->error() == Errc::kStopped);
  CHECK(waiting.result->error() == Errc::kStopped);
}

TEST_CASE("H10: a transport may be destroyed after any turn of a call, on either side") {
  for (int destroyed_first : {0, 1}) {
    for (int turns = 0; turns < 24; ++turns) {
      World world;
      auto a = std::make_unique<Node>(world, 1);
      auto b = std::make_unique<Node>(world, 2);
      b->service.is_held = turns % 2 == 0;
      Running<AppendEntriesResults> data(
          world, a->rpc->CallAppendEntries(b->addr(), AppendTo(*a, *b, {MakeTestBatch(1, 5, 200'000)})));
      Running<AppendEntriesResults> heartbeat(world, a->rpc->CallAppendEntries(b->addr(), AppendTo(*a, *b)));
      for (int i = 0; i < turns; ++i) world.reactor().RunOnce(Duration(0));
      (destroyed_first == 0 ? a : b).reset();
      world.RunUntil([&]() { return data.is_done() || destroyed_first == 1; });
      (destroyed_first == 0 ? b : a).reset();
      world.RunUntil([&]() { return data.is_done() && heartbeat.is_done(); });
    }
  }
}

TEST_CASE("a dropped call's batch lives as long as its message waits to be sent") {
  World world;
  auto a = std::make_unique<Node>(world, 1);
  Node b(world, 2);
  Proxy proxy(world, b.addr());
  REQUIRE(Finish(world, a->rpc->CallAppendEntries(proxy.addr(), AppendTo(*a, b, {MakeTestBatch(1, 5, 10)}))));
  proxy.Pause(0);
  // The first fills the connection, the second is queued after it.
  Running<AppendEntriesResults> first(
      world, a->rpc->CallAppendEntries(proxy.addr(), AppendTo(*a, b, {MakeTestBatch(2, 5, 16 << 20)})));
  BatchRef batch = MakeTestBatch(3, 5, 1 << 20);
  Watch(batch);
  Running<AppendEntriesResults> second(world, a->rpc->CallAppendEntries(proxy.addr(), AppendTo(*a, b, {batch})));
  for (int i = 0; i < 10; ++i) world.reactor().RunOnce(Duration(0));
  second.Drop();
  batch = BatchRef();
  for (int i = 0; i < 10; ++i) world.reactor().RunOnce(Duration(0));
  CHECK_FALSE(IsFreed());

  SUBCASE("and no longer") {
    proxy.Resume(0);
    world.RunUntil([&]() { return first.is_done() && b.service.appends.size() == 3; });
    CHECK(b.service.appends[2].entries[0].bytes() == MakeTestBatch(3, 5, 1 << 20).bytes());
    world.RunUntil([]() { return IsFreed(); });
  }
  SUBCASE("or until the connection has ended") {
    a.reset();
    world.RunUntil([&]() { return first.is_done(); });
    CHECK(IsFreed());
  }
}

TEST_CASE("a batch is released when its call has been answered") {
  World world;
  Node a(world, 1), b(world, 2);
  BatchRef batch = MakeTestBatch(1, 5, 1 << 20);
  Watch(batch);
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {batch}))));
  CHECK_FALSE(IsFreed());
  batch = BatchRef();
  CHECK(IsFreed());
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
