// The life of a node: run, stop, done, destroyed, at any moment.
#include <thread>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

struct StoppedCalls {
  explicit StoppedCalls(Raft& raft) {
    callers.push_back(CallOne(raft, "x", HandleOptions(), one));
    callers.push_back(CallOne(raft, "x", HandleOptions().Forward(), forwarded));
    callers.push_back(CallSpan(raft, {"x", "y"}, HandleOptions(), many));
    callers.push_back(Change(raft, {PeerAt(9)}, {}, change));
  }
  void Check() const {
    CHECK(CodeOf(one) == Errc::kStopped);
    CHECK(CodeOf(forwarded) == Errc::kStopped);
    CHECK((many && !*many && many->error() == Errc::kStopped));
    CHECK((change && !*change && change->error() == Errc::kStopped));
  }
  MaybeResult one, forwarded;
  MaybeResults many;
  MaybeDone change;
  std::vector<Owned> callers;
};

Detached StopInside(Raft& raft, MaybeResult& after, MaybeDone& done) {
  Result<Bytes> first = co_await raft.Handle("x");
  raft.Stop();
  Result<Bytes> second = co_await raft.Handle("y");
  after = std::move(second);
  Result<void> stopped = co_await raft.Done();
  done = std::move(stopped);
}

Detached DestroyWhenDone(std::unique_ptr<Raft>& raft, bool& is_destroyed) {
  Result<void> stopped = co_await raft->Done();
  if (stopped) raft.reset();
  is_destroyed = raft == nullptr;
}

Owned KeepCalling(Raft& raft, HandleOptions options, std::vector<Errc>& ends) {
  for (int i = 0; i < 1000; ++i) {
    Result<Bytes> result = co_await raft.Handle("k", options);
    ends.push_back(result ? Errc::kOk : result.error().code());
    if (!result) co_return;
  }
}

void Hasten(Options& options) {
  options.election_timeout_min = 30ms;
  options.election_timeout_max = 60ms;
  options.heartbeat_interval = 5ms;
}

}  // namespace

TEST_SUITE("node/life") {
  TEST_CASE("a second Run is refused with kRanRepeatedly") {
    Cluster cluster(1);
    Raft& raft = *cluster.nodes[0].raft;
    Result<void> again = raft.Run(*cluster.reactor);
    REQUIRE(!again.has_value());
    CHECK(again.error() == Errc::kRanRepeatedly);
    CHECK(cluster.WaitForLeader().raft.get() == &raft);
  }

  TEST_CASE("Run names an address in use, and may be called again") {
    Cluster cluster(1);
    ListMachine machine;
    Options options = Cluster::MakeOptions(1);
    options.bootstrap_as_leader = true;
    options.storage = MakeMemoryStorage();
    options.make_rpc = cluster.nodes[0].options.make_rpc;
    auto raft = Raft::Create(options, machine);
    REQUIRE(raft.has_value());
    Result<void> refused = raft.value()->Run(*cluster.reactor);
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == Errc::kIo);
    CHECK(refused.error().message().find(options.addr.text()) != std::string::npos);
    StoppedCalls before(*raft.value());
    before.Check();
    cluster.nodes[0].raft.reset();
    REQUIRE(raft.value()->Run(*cluster.reactor).has_value());
    cluster.Until("it to lead", [&] { return raft.value()->IsLeader(); });
  }

  TEST_CASE("calls before Run and after Stop end with kStopped") {
    Cluster cluster(1);
    Options options = Cluster::MakeOptions(2);
    options.bootstrap_as_leader = true;
    options.storage = MakeMemoryStorage();
    options.make_rpc = cluster.nodes[0].options.make_rpc;
    ListMachine machine;
    auto created = Raft::Create(options, machine);
    REQUIRE(created.has_value());
    Raft& raft = *created.value();
    StoppedCalls before(raft);
    before.Check();
    REQUIRE(raft.Run(*cluster.reactor).has_value());
    cluster.Until("it to lead", [&] { return raft.IsLeader(); });
    MaybeDone done;
    Owned waiter = AwaitDone(raft, HandleOptions(), done);
    raft.Stop();
    StoppedCalls between(raft);
    between.Check();
    std::unique_ptr<StoppedCalls> inside;
    cluster.InTurn([&] { inside = std::make_unique<StoppedCalls>(raft); });
    inside->Check();
    cluster.Until("the stop", [&] { return done.has_value(); });
    CHECK(done->has_value());
    CHECK(raft.Status().is_stopped);
    CHECK(raft.Status().stop_reason.code() == Errc::kOk);
    raft.Stop();
    StoppedCalls after(raft);
    after.Check();
    MaybeResult large;
    Owned too_large = CallOne(raft, std::string(2 << 20, 'x'), HandleOptions(), large);
    CHECK(CodeOf(large) == Errc::kStopped);
    Result<void> again = raft.Run(*cluster.reactor);
    REQUIRE(!again.has_value());
  }

  TEST_CASE("a node that never ran can be stopped, awaited and destroyed") {
    Cluster cluster(0);
    Options options = Cluster::MakeOptions(1);
    options.bootstrap_as_leader = true;
    options.storage = MakeMemoryStorage();
    ListMachine machine;
    auto created = Raft::Create(options, machine);
    REQUIRE(created.has_value());
    MaybeDone early, late;
    Owned one = AwaitDone(*created.value(), HandleOptions(), early);
    CHECK(!early.has_value());
    created.value()->Stop();
    CHECK(early.has_value());
    Owned two = AwaitDone(*created.value(), HandleOptions(), late);
    CHECK(late.has_value());
    Result<void> ran = created.value()->Run(*cluster.reactor);
    REQUIRE(!ran.has_value());
    CHECK(ran.error() == Errc::kStopped);
  }

  TEST_CASE("all callers of Done resume once the node has stopped, through their executors") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    QueueExecutor executor;
    std::deque<MaybeDone> done(4);
    std::vector<Owned> waiters;
    waiters.push_back(AwaitDone(raft, HandleOptions(), done[0]));
    waiters.push_back(AwaitDone(raft, HandleOptions().On(executor), done[1]));
    cluster.InTurn([&] { waiters.push_back(AwaitDone(raft, HandleOptions(), done[2])); });
    Owned dead = AwaitDone(raft, HandleOptions(), done[3]);
    dead.Destroy();
    raft.Stop();
    cluster.Until("the waiters", [&] { return done[0] && done[2] && executor.size() == 1; });
    CHECK(!done[1].has_value());
    executor.RunOne();
    CHECK(done[1].has_value());
    CHECK(!done[3].has_value());
    MaybeDone late;
    waiters.push_back(AwaitDone(raft, HandleOptions().On(executor), late));
    CHECK(late.has_value());  // at once
  }

  TEST_CASE("a caller may stop its node from inside, and continues") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    MaybeResult after;
    MaybeDone done;
    cluster.InTurn([&] { StopInside(raft, after, done); });
    cluster.Until("the stop", [&] { return done.has_value(); });
    CHECK(CodeOf(after) == Errc::kStopped);
    CHECK(done->has_value());
  }

  TEST_CASE("the first caller of Done may destroy the node, inside the turn") {
    Cluster cluster(3);
    for (auto& node : cluster.nodes) {
      bool is_destroyed = false;
      MaybeDone second;
      DestroyWhenDone(node.raft, is_destroyed);
      Owned other = AwaitDone(*node.raft, HandleOptions(), second);
      node.raft->Stop();
      cluster.Until("it to be destroyed", [&] { return is_destroyed && second.has_value(); });
    }
  }

  TEST_CASE("a node on a reactor with its own thread may be destroyed while it runs") {
    for (int round = 0; round < 10; ++round) {
      auto reactor = Reactor::Create();
      REQUIRE(reactor.has_value());
      REQUIRE(reactor.value()->Start().has_value());
      LocalNetwork network;
      ListMachine machine;
      Options options = Cluster::MakeOptions(1);
      Hasten(options);
      options.bootstrap_as_leader = true;
      options.storage = MakeMemoryStorage();
      options.make_rpc = [&](Reactor& on) { return std::make_unique<LocalRpc>(on, network); };
      auto raft = Raft::Create(options, machine);
      REQUIRE(raft.has_value());
      REQUIRE(raft.value()->Run(*reactor.value()).has_value());
      QueueExecutor executor;
      MaybeResult first;
      if (round % 2 == 0) {
        Owned caller = CallOne(*raft.value(), "x", HandleOptions().On(executor).Forward().Timeout(60s), first);
        while (!first) executor.WaitAndRun();
        CHECK(first->has_value());
      }
      std::deque<MaybeResult> results(20);
      std::vector<Owned> callers;
      for (MaybeResult& result : results)
        callers.push_back(CallOne(*raft.value(), "y", HandleOptions().On(executor).Forward(), result));
      raft.value().reset();
      while (executor.RunOne()) {
      }
      for (MaybeResult& result : results) CHECK(result.has_value());
    }
  }

  TEST_CASE("when a node stops, every call ends, whatever it waits for") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "first").has_value());
    Cluster::Node& follower = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    cluster.Until("the follower to know", [&] { return follower.raft->Status().leader.has_value(); });
    bool stops_leader = false, waits = false;
    SUBCASE("the leader, calls in flight") { stops_leader = waits = true; }
    SUBCASE("the leader, calls just begun") { stops_leader = true; }
    SUBCASE("a follower, calls in a message to the leader") { waits = true; }
    SUBCASE("a follower, calls just begun") {}
    cluster.InTurn([&] {
      for (auto& node : cluster.nodes)
        if (&node != &leader && &node != &follower) cluster.network.Cut(node.options.addr);
      if (stops_leader) cluster.network.Cut(follower.options.addr);
    });
    // The follower can still reach the leader, which has lost its majority: forwarded calls stay there.
    if (!stops_leader) leader.machine->fail_next = 1000000;
    Raft& raft = stops_leader ? *leader.raft : *follower.raft;
    std::deque<MaybeResult> results(4);
    MaybeResults span;
    MaybeDone change;
    std::vector<Owned> callers;
    HandleOptions options;
    if (!stops_leader) options.Forward();
    callers.push_back(CallOne(raft, "outside", options, results[0]));
    cluster.InTurn([&] {
      callers.push_back(CallOne(raft, "a", options, results[1]));
      callers.push_back(CallOne(raft, "b", HandleOptions(options).Timeout(60s), results[2]));
      callers.push_back(CallSpan(raft, {"c", "d"}, options, span));
      if (stops_leader) callers.push_back(Change(raft, {PeerAt(4)}, {}, change));
      if (!waits) raft.Stop();
    });
    if (waits) {
      cluster.Turns(8);
      raft.Stop();
    }
    callers.push_back(CallOne(raft, "late", options, results[3]));
    cluster.Until("the ends", [&] {
      return results[0] && results[1] && results[2] && results[3] && span && (change || !stops_leader);
    });
    for (MaybeResult& result : results) CHECK((CodeOf(result) == Errc::kStopped || CodeOf(result) == Errc::kUnknown));
    CHECK(CodeOf(results[3]) == Errc::kStopped);
    CHECK((!*span && (span->error() == Errc::kStopped || span->error() == Errc::kUnknown)));
    if (waits && stops_leader) CHECK(CodeOf(results[1]) == Errc::kUnknown);
  }

  TEST_CASE("a node may be destroyed after any turn of a scenario") {
    for (int victim = 0; victim < 3; ++victim) {
      for (int k = 0; k < 24; ++k) {
        Cluster cluster(3, Setup{Hasten, {}});
        if (k >= 8) cluster.WaitForLeader();  // the first ones end in the elections
        std::vector<Errc> ends;
        std::vector<Owned> callers;
        for (auto& node : cluster.nodes)
          for (int i = 0; i < 3; ++i)
            callers.push_back(KeepCalling(*node.raft, HandleOptions().Forward().Timeout(10s), ends));
        cluster.Turns(k);
        cluster.nodes[static_cast<size_t>(victim)].raft.reset();
        cluster.Turns(3);
        // Callers outlive the other nodes, or are destroyed before them.
        if (k % 2 == 0) callers.clear();
      }
    }
  }
}
