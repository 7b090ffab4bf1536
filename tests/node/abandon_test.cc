// Callers that are destroyed while suspended, or cancelled, or past their deadline: at every stage of a call.
#include <thread>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

void DestroyElsewhere(Owned& caller) {
  std::thread([&] { caller.Destroy(); }).join();
}

// A cluster with disks that can be held, so that a call stays in flight while the leader remains leader.
struct HeldCluster {
  std::vector<std::shared_ptr<GatedStorage>> disks;
  Cluster cluster{3, Setup{{}, [this](uint64_t) {
                             disks.push_back(std::make_shared<GatedStorage>());
                             return disks.back();
                           }}};
  ~HeldCluster() { OpenAll(); }
  void ShutAll() {
    for (auto& disk : disks) disk->Shut();
  }
  void OpenAll() {
    for (auto& disk : disks) disk->Open();
  }
};

size_t CountOf(const Cluster::Node& node, const std::string& command) {
  return static_cast<size_t>(std::count(node.machine->applied.begin(), node.machine->applied.end(), command));
}

// The node still works, and holds no slot of a destroyed caller.
void CheckAlive(Cluster& cluster, Raft& raft) {
  CHECK(cluster.Handle(raft, "alive").has_value());
  cluster.Until("the slots to be free", [&] {
    MaybeResult result;
    Owned caller = CallOne(raft, "tick", HandleOptions(), result);
    cluster.Until("a tick", [&] { return result.has_value(); });
    return raft.Status().waiting_calls <= 1;
  });
}

}  // namespace

TEST_SUITE("node/abandon") {
  TEST_CASE("a caller may be destroyed before its call is delivered") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    MaybeResult result;
    { Owned caller = CallOne(raft, "gone", HandleOptions(), result); }
    Owned second = CallOne(raft, "gone too", HandleOptions(), result);
    DestroyElsewhere(second);
    CheckAlive(cluster, raft);
    CHECK(!result.has_value());
  }

  TEST_CASE("a caller may be destroyed while its command is in the open batch: the command is applied once") {
    Cluster cluster(1);
    Cluster::Node& node = cluster.WaitForLeader();
    MaybeResult result, neighbor;
    Owned kept;
    cluster.InTurn([&] {
      Owned caller = CallOne(*node.raft, "one", HandleOptions(), result);
      kept = CallOne(*node.raft, "kept", HandleOptions(), neighbor);
      Owned other = CallOne(*node.raft, "two", HandleOptions(), result);
      caller.Destroy();
      DestroyElsewhere(other);
    });
    cluster.Until("the neighbor", [&] { return neighbor.has_value(); });
    CHECK(neighbor->value().view() == "2:kept");
    CheckAlive(cluster, *node.raft);
    CHECK(!result.has_value());
    CHECK(CountOf(node, "one") == 1);
    CHECK(CountOf(node, "two") == 1);
  }

  TEST_CASE("a caller may be destroyed while its command is in flight") {
    HeldCluster held;
    Cluster& cluster = held.cluster;
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "first").has_value());
    held.ShutAll();
    MaybeResult result, neighbor;
    Index before = leader.raft->Status().last_index;
    Owned one = CallOne(*leader.raft, "one", HandleOptions(), result);
    Owned two = CallOne(*leader.raft, "two", HandleOptions(), result);
    MaybeResults span;
    Owned three = CallSpan(*leader.raft, {"s1", "s2"}, HandleOptions(), span);
    Owned kept = CallOne(*leader.raft, "kept", HandleOptions(), neighbor);
    cluster.Until("all to be in the log", [&] { return leader.raft->Status().last_index == before + 5; });
    one.Destroy();
    DestroyElsewhere(two);
    cluster.InTurn([&] { three.Destroy(); });
    held.OpenAll();
    cluster.Until("the neighbor", [&] { return neighbor.has_value(); });
    CHECK(neighbor->value().view() == "6:kept");
    CheckAlive(cluster, *leader.raft);
    CHECK(!result.has_value());
  }

  TEST_CASE("a caller may be destroyed while its resumption waits in the executor's queue") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    QueueExecutor executor;
    MaybeResult result, next;
    Owned caller = CallOne(raft, "gone", HandleOptions().On(executor), result);
    cluster.Until("the end of the call", [&] { return executor.size() == 1; });
    SUBCASE("on this thread") { caller.Destroy(); }
    SUBCASE("on another thread") { DestroyElsewhere(caller); }
    SUBCASE("inside a turn") {
      cluster.InTurn([&] { caller.Destroy(); });
    }
    // New calls meanwhile: the late resumption must not run any of them.
    Owned later = CallOne(raft, "later", HandleOptions().On(executor), next);
    CHECK(executor.RunOne());
    CHECK(!next.has_value());
    cluster.Until("the later call", [&] {
      executor.RunOne();
      return next.has_value();
    });
    CHECK(next->value().view() == "2:later");
    CheckAlive(cluster, raft);
    CHECK(!result.has_value());
  }

  TEST_CASE("an executor may drop a resumption: the caller stays suspended until its owner destroys it") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    QueueExecutor executor;
    MaybeResult first, second;
    Owned one = CallOne(raft, "one", HandleOptions().On(executor), first);
    Owned two = CallOne(raft, "two", HandleOptions().On(executor), second);
    cluster.Until("the end of both", [&] { return executor.size() == 2; });
    SUBCASE("dropped, then destroyed") {
      executor.DropAll();
      one.Destroy();
      DestroyElsewhere(two);
    }
    SUBCASE("destroyed, then dropped") {
      one.Destroy();
      DestroyElsewhere(two);
      executor.DropAll();
    }
    CheckAlive(cluster, raft);
    CHECK(!first.has_value());
    CHECK(!second.has_value());
  }

  TEST_CASE("a resumption, a caller and a stop request may outlive the node") {
    QueueExecutor executor;
    std::stop_source source;
    MaybeResult run_late, destroyed, stopped, dropped;
    Owned a, b, c, d;
    {
      Cluster cluster(1);
      Raft& raft = *cluster.WaitForLeader().raft;
      a = CallOne(raft, "a", HandleOptions().On(executor), run_late);
      b = CallOne(raft, "b", HandleOptions().On(executor), destroyed);
      c = CallOne(raft, "c", HandleOptions().On(executor).StopOn(source.get_token()), stopped);
      d = CallOne(raft, "d", HandleOptions().On(executor), dropped);
      bool waits_for_the_end = false;
      SUBCASE("with calls that have succeeded") { waits_for_the_end = true; }
      SUBCASE("with calls that end with the node") {}
      if (waits_for_the_end) cluster.Until("the calls", [&] { return executor.size() == 4; });
    }
    REQUIRE(executor.size() == 4);
    source.request_stop();  // far too late
    b.Destroy();
    CHECK(executor.RunOne());
    CHECK(executor.RunOne());
    CHECK(executor.RunOne());
    executor.DropAll();
    CHECK(run_late.has_value());
    CHECK(stopped.has_value());
    CHECK(!destroyed.has_value());
    CHECK(!dropped.has_value());
  }

  TEST_CASE("callers are destroyed by their own thread at any moment while the reactor works") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    std::atomic<int> running{4};
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        QueueExecutor executor;
        std::vector<std::stop_source> sources(8);
        for (int round = 0; round < 150; ++round) {
          std::deque<MaybeResult> results(8);
          std::vector<Owned> callers;
          for (int i = 0; i < 8; ++i) {
            sources[i] = std::stop_source();
            HandleOptions options;
            options.On(executor);
            if (i % 2 == 0) options.StopOn(sources[i].get_token());
            if (i % 3 == 0) options.Timeout(std::chrono::microseconds(200 * i));
            callers.push_back(CallOne(raft, std::to_string(t), options, results[i]));
          }
          for (int step = 0; step < round % 12; ++step) {
            if (!executor.RunOne()) std::this_thread::yield();
            if (step % 4 == 1) sources[static_cast<size_t>(step) % 8].request_stop();
          }
          callers.clear();
          for (MaybeResult& result : results)
            if (result && !*result && result->error() != Errc::kUnknown) ++wrong;
        }
        // The node may be about to post: the executor lives until every call has returned.
        MaybeResult last;
        Owned flush = CallOne(raft, "flush", HandleOptions().On(executor), last);
        while (!last) executor.WaitAndRun();
        --running;
      });
    }
    cluster.Until("the threads", [&] { return running == 0; });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
    CheckAlive(cluster, raft);
  }

  TEST_CASE("a reused slot is not mistaken for the call that had it before") {
    HeldCluster held;
    Cluster& cluster = held.cluster;
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "first").has_value());
    held.ShutAll();
    Index before = leader.raft->Status().last_index;
    MaybeResult old, fresh;
    Owned one, two;
    cluster.InTurn([&] { one = CallOne(*leader.raft, "old", HandleOptions().Timeout(10ms), old); });
    cluster.Until("the deadline", [&] { return old.has_value(); });
    CHECK(CodeOf(old) == Errc::kUnknown);
    one.Destroy();
    cluster.InTurn(
        [&] { two = CallOne(*leader.raft, "fresh", HandleOptions(), fresh); });  // the slot that was freed last
    cluster.Until("both to be in the log", [&] { return leader.raft->Status().last_index == before + 2; });
    CHECK(!fresh.has_value());
    held.OpenAll();
    cluster.Until("the fresh call", [&] { return fresh.has_value(); });
    REQUIRE(fresh->has_value());
    CHECK(fresh->value().view() == "3:fresh");
    CHECK(CountOf(leader, "old") == 1);
  }
}

TEST_SUITE("node/cancel") {
  TEST_CASE("a stop requested before the call ends it at once, and nothing is appended") {
    Cluster cluster(1);
    Cluster::Node& node = cluster.WaitForLeader();
    std::stop_source source;
    source.request_stop();
    MaybeResult outside, inside;
    Owned one = CallOne(*node.raft, "x", HandleOptions().StopOn(source.get_token()), outside), two;
    CHECK(CodeOf(outside) == Errc::kUnknown);
    cluster.InTurn([&] { two = CallOne(*node.raft, "x", HandleOptions().StopOn(source.get_token()), inside); });
    CHECK(CodeOf(inside) == Errc::kUnknown);
    CheckAlive(cluster, *node.raft);
    CHECK(CountOf(node, "x") == 0);
  }

  TEST_CASE("a stop request ends a call with kUnknown at every stage, from any thread") {
    HeldCluster held;
    Cluster& cluster = held.cluster;
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "first").has_value());
    held.ShutAll();
    std::stop_source source;
    MaybeResult result;
    Owned caller;
    bool elsewhere = false;
    SUBCASE("before delivery") {
      caller = CallOne(*leader.raft, "x", HandleOptions().StopOn(source.get_token()), result);
    }
    SUBCASE("before delivery, from another thread") {
      elsewhere = true;
      caller = CallOne(*leader.raft, "x", HandleOptions().StopOn(source.get_token()), result);
    }
    SUBCASE("in the open batch") {
      cluster.InTurn([&] {
        caller = CallOne(*leader.raft, "x", HandleOptions().StopOn(source.get_token()), result);
        source.request_stop();
      });
    }
    SUBCASE("in flight") {
      caller = CallOne(*leader.raft, "x", HandleOptions().StopOn(source.get_token()), result);
      cluster.Turns(5);
    }
    SUBCASE("in flight, from another thread") {
      elsewhere = true;
      caller = CallOne(*leader.raft, "x", HandleOptions().StopOn(source.get_token()), result);
      cluster.Turns(5);
    }
    if (elsewhere) {
      std::thread([&] { source.request_stop(); }).join();
    } else {
      source.request_stop();
    }
    cluster.Until("the end of the call", [&] { return result.has_value(); });
    CHECK(CodeOf(result) == Errc::kUnknown);
    held.OpenAll();
    CheckAlive(cluster, *leader.raft);
    CHECK(CountOf(leader, "x") <= 1);
  }

  TEST_CASE("a stop request after the end of the call changes nothing") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    std::stop_source source;
    QueueExecutor executor;
    MaybeResult result;
    Owned caller = CallOne(raft, "x", HandleOptions().On(executor).StopOn(source.get_token()), result);
    cluster.Until("the end of the call", [&] { return executor.size() == 1; });
    source.request_stop();
    cluster.Turns(5);
    CHECK(executor.size() == 1);
    executor.RunOne();
    REQUIRE(result.has_value());
    REQUIRE(result->has_value());
    CHECK(result->value().view() == "1:x");
  }
}

TEST_SUITE("node/deadline") {
  TEST_CASE("the calls of a leader that is cut off end with kUnknown, and are applied at most once") {
    Cluster cluster(3);
    Cluster::Node& old_leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*old_leader.raft, "first").has_value());
    cluster.network.Cut(old_leader.options.addr);
    MaybeResult with_deadline, without;
    MaybeResults span;
    Owned one, two, three;
    cluster.InTurn([&] {
      one = CallOne(*old_leader.raft, "d", HandleOptions().Timeout(20ms), with_deadline);
      two = CallOne(*old_leader.raft, "n", HandleOptions(), without);  // ends when the leader steps down
      three = CallSpan(*old_leader.raft, {"s", "s2"}, HandleOptions(), span);
    });
    cluster.Until("the ends", [&] { return with_deadline && without && span; });
    CHECK(CodeOf(with_deadline) == Errc::kUnknown);
    CHECK(CodeOf(without) == Errc::kUnknown);
    CHECK((!*span && span->error() == Errc::kUnknown));
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "next").has_value());
    cluster.network.Heal(old_leader.options.addr);
    cluster.Until("the old leader to catch up", [&] { return CountOf(old_leader, "next") == 1; });
    for (auto& node : cluster.nodes)
      for (const char* command : {"d", "n", "s"}) CHECK(CountOf(node, command) == 0);  // overwritten
  }

  TEST_CASE(
      "a call that waits for a leader ends with kNoLeader at its deadline, and one that does not wait ends at once") {
    Cluster cluster(3);
    Cluster::Node& node = cluster.nodes[0];
    for (auto& each : cluster.nodes) cluster.network.Cut(each.options.addr);
    MaybeResult waiting, refused;
    Owned one = CallOne(*node.raft, "x", HandleOptions().Forward().Timeout(30ms), waiting);
    Owned two = CallOne(*node.raft, "y", HandleOptions().Timeout(30ms), refused);
    cluster.Until("both", [&] { return waiting && refused; });
    CHECK(CodeOf(waiting) == Errc::kNoLeader);
    CHECK(CodeOf(refused) == Errc::kNotLeader);
    CHECK(!refused->error().leader().has_value());
  }

  TEST_CASE("a deadline in the past still ends the call, and distant ones do no harm") {
    Cluster cluster(1);
    Cluster::Node& node = cluster.WaitForLeader();
    std::deque<MaybeResult> results(300);
    std::vector<Owned> callers;
    for (size_t i = 0; i < results.size(); ++i)
      callers.push_back(
          CallOne(*node.raft, "x", HandleOptions().Deadline(Clock::now() + 1s * static_cast<int>(i)), results[i]));
    callers.push_back(
        CallOne(*node.raft, "y", HandleOptions().Deadline(TimePoint::max()).Forward(), results.emplace_back()));
    callers.push_back(CallOne(*node.raft, "y", HandleOptions().Deadline(TimePoint()), results.emplace_back()));
    cluster.Until("all", [&] {
      for (MaybeResult& result : results)
        if (!result) return false;
      return true;
    });
    for (size_t i = 1; i + 1 < results.size(); ++i) CHECK(results[i]->has_value());
    CheckAlive(cluster, *node.raft);
  }

  TEST_CASE("a forwarded call without a deadline does not overflow the leader's clock") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    Cluster::Node& follower = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    Result<Bytes> result = cluster.Handle(*follower.raft, "x", HandleOptions().Forward().Deadline(TimePoint::max()));
    REQUIRE_MESSAGE(result.has_value(), result.error().message());
  }

  TEST_CASE("a caller destroyed while its call waited for a leader holds nothing after its deadline") {
    Cluster cluster(3);
    Cluster::Node& node = cluster.nodes[0];
    for (auto& each : cluster.nodes) cluster.network.Cut(each.options.addr);
    MaybeResult result;
    Owned caller = CallOne(*node.raft, "x", HandleOptions().Forward().Timeout(20ms), result);
    cluster.Until("its arrival", [&] { return node.raft->Status().waiting_calls == 1; });
    caller.Destroy();
    cluster.Until("its slot to be free", [&] { return node.raft->Status().waiting_calls == 0; });
  }
}
