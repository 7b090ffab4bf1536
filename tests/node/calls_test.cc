// `Handle` from the side of its callers: from many threads, through executors, in spans, at its limits.
#include <thread>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

struct Tally {
  std::atomic<int> right{0};
  std::atomic<int> wrong{0};
  std::atomic<int> elsewhere{0};  // resumed on a thread that it had not requested
  std::atomic<int> ended{0};      // callers
};

// One caller: a chain of calls. Each result must be its own, and come after the one before.
Detached Chain(Raft& raft, Executor* executor, std::string name, int calls, Tally& tally) {
  const std::thread::id home = std::this_thread::get_id();
  long last_position = 0;
  for (int i = 0; i < calls; ++i) {
    std::string command = name + "." + std::to_string(i);
    HandleOptions options;
    if (executor != nullptr) options.On(*executor);
    Result<Bytes> result = co_await raft.Handle(command, options);
    if (executor != nullptr && std::this_thread::get_id() != home) ++tally.elsewhere;
    std::string text = result ? result.value().ToString() : result.error().message();
    size_t colon = text.find(':');
    bool is_right = result && text.substr(colon + 1) == command && std::stol(text) > last_position;
    if (is_right) last_position = std::stol(text);
    ++(is_right ? tally.right : tally.wrong);
  }
  ++tally.ended;
}

// A third way to write a coroutine: the library's own.
Task<std::string> AsTask(Raft& raft) {
  Result<Bytes> first = co_await raft.Handle("t1", HandleOptions().Timeout(60s).Forward());
  if (!first) co_return first.error().message();
  Result<Bytes> second = co_await raft.Handle(std::string("t2"));
  if (!second) co_return second.error().message();
  co_return first.value().ToString() + " " + second.value().ToString();
}
Detached RunTask(Raft& raft, std::optional<std::string>& text) {
  auto task = AsTask(raft);
  std::string got = co_await task;
  text = std::move(got);
}

// Every temporary that a caller may write inside the awaited expression.
Owned WithTemporaries(Raft& raft, QueueExecutor& executor, std::stop_token token, std::vector<std::string>& texts) {
  Result<Bytes> one =
      co_await raft.Handle(std::string(100, 'a'), HandleOptions().On(executor).StopOn(token).Timeout(60s));
  texts.push_back(one ? one.value().ToString() : one.error().message());
  Result<Bytes> two = co_await raft.Handle(Command("b"), HandleOptions().Forward());
  texts.push_back(two ? two.value().ToString() : two.error().message());
  Result<Bytes> three = co_await raft.Handle(Bytes("c"));
  texts.push_back(three ? three.value().ToString() : three.error().message());
  Result<void> four =
      co_await raft.ChangeConfig(std::vector<Peer>(), std::vector<NodeId>(), HandleOptions().StopOn(token));
  texts.push_back(four ? "ok" : four.error().message());
}

Detached NoteTurn(Raft& raft, Reactor& reactor, std::optional<bool>& was_in_turn, std::thread::id& thread) {
  Result<Bytes> result = co_await raft.Handle("x");
  thread = std::this_thread::get_id();
  was_in_turn = result.has_value() && reactor.IsInTurn();
}

std::vector<std::string> Texts(const Result<std::vector<Bytes>>& results) {
  std::vector<std::string> texts;
  for (const Bytes& result : results.value()) texts.push_back(result.ToString());
  return texts;
}

}  // namespace

TEST_SUITE("node/calls") {
  TEST_CASE(
      "eight threads call at once, and each caller gets its own results in its own order on the thread of its choice") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    constexpr int kThreads = 8, kChains = 4, kCalls = 60;
    Tally tally;
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<QueueExecutor>> executors;
    for (int t = 0; t < kThreads; ++t) executors.push_back(std::make_unique<QueueExecutor>());
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Tally own;  // of those that come back to this thread
        for (int c = 0; c < kChains; ++c) {
          std::string name = std::to_string(t) + "-" + std::to_string(c);
          Chain(raft, executors[t].get(), "q" + name, kCalls, own);
          Chain(raft, nullptr, "i" + name, kCalls, tally);
        }
        while (own.ended < kChains) executors[t]->WaitAndRun();
        tally.right += own.right;
        tally.wrong += own.wrong;
        tally.elsewhere += own.elsewhere;
        tally.ended += own.ended;
      });
    }
    cluster.Until("all callers", [&] { return tally.ended == 2 * kThreads * kChains; });
    for (std::thread& thread : threads) thread.join();
    CHECK(tally.right == 2 * kThreads * kChains * kCalls);
    CHECK(tally.wrong == 0);
    CHECK(tally.elsewhere == 0);
    cluster.Until("the slots to be free", [&] {
      std::optional<Result<Bytes>> ignored;
      return cluster.Handle(raft, "tick").has_value() && raft.Status().waiting_calls <= 1;
    });
  }

  TEST_CASE("a caller without an executor resumes inside a turn of the reactor, on its thread") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    std::optional<bool> was_in_turn;
    std::thread::id thread;
    std::thread([&] { NoteTurn(raft, *cluster.reactor, was_in_turn, thread); }).join();
    cluster.Until("the caller", [&] { return was_in_turn.has_value(); });
    CHECK(*was_in_turn);
    CHECK(thread == std::this_thread::get_id());
  }

  TEST_CASE("the library's own task type awaits calls") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    std::optional<std::string> text;
    cluster.InTurn([&] { RunTask(raft, text); });
    cluster.Until("the task", [&] { return text.has_value(); });
    CHECK(*text == "1:t1 2:t2");
  }

  TEST_CASE("temporaries in the awaited expression are compiled correctly") {
    Cluster cluster(1);
    Raft& raft = *cluster.WaitForLeader().raft;
    QueueExecutor executor;
    std::stop_source source;
    std::vector<std::string> texts;
    Owned caller = WithTemporaries(raft, executor, source.get_token(), texts);
    cluster.Until("the caller", [&] {
      executor.RunOne();
      return caller.IsDone();
    });
    CHECK(texts == std::vector<std::string>{"1:" + std::string(100, 'a'), "2:b", "3:c", "ok"});
  }

  TEST_CASE("a span is one append with consecutive indexes, and its results come in order") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "first").has_value());
    leader.machine->most_at_once = 2;  // the results of one call come in parts
    MaybeResults results, others;
    MaybeResult single;
    Owned one, two, three;
    Index before = leader.raft->Status().last_index;
    cluster.InTurn([&] {
      one = CallSpan(*leader.raft, {"a", "b", "c", "d", "e"}, HandleOptions(), results);
      two = CallOne(*leader.raft, "single", HandleOptions(), single);
      three = CallSpan(*leader.raft, {"f", "", std::string(1000, 'g')}, HandleOptions(), others);
    });
    cluster.Until("the calls", [&] { return results && others && single; });
    REQUIRE(results->has_value());
    REQUIRE(others->has_value());
    CHECK(Texts(*results) == std::vector<std::string>{"2:a", "3:b", "4:c", "5:d", "6:e"});
    CHECK(single->value().view() == "7:single");
    CHECK(Texts(*others) == std::vector<std::string>{"8:f", "9:", "10:" + std::string(1000, 'g')});
    CHECK(leader.raft->Status().last_index == before + 9);
    // The followers' disks were enough for the result; the leader's own may follow later.
    cluster.Until("the leader's own disk", [&] { return leader.raft->Status().durable_index == before + 9; });
    Result<std::vector<BatchRef>> stored = leader.storage->Read(before + 1, 1 << 20);
    REQUIRE(stored.has_value());
    REQUIRE(!stored.value().empty());
    CHECK(stored.value().front().header().count == 9);  // the calls of one turn are one batch
  }

  TEST_CASE("a call without commands succeeds at once, and ends with kStopped where the node does not run") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    Cluster::Node& follower = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    for (Cluster::Node* node : {&leader, &follower}) {
      MaybeResults results;
      Owned caller = CallSpan(*node->raft, {}, HandleOptions(), results);  // without a turn
      REQUIRE(results.has_value());
      REQUIRE(results->has_value());
      CHECK(results->value().empty());
      MaybeDone changed;
      Owned changer = Change(*node->raft, {}, {}, changed);
      REQUIRE(changed.has_value());
      CHECK(changed->has_value());
    }
    follower.raft->Stop();
    MaybeResults results;
    Owned caller = CallSpan(*follower.raft, {}, HandleOptions(), results);
    REQUIRE(results.has_value());
    CHECK((!*results && results->error() == Errc::kStopped));
    MaybeDone changed;
    Owned changer = Change(*follower.raft, {}, {}, changed);
    REQUIRE(changed.has_value());
    CHECK((!*changed && changed->error() == Errc::kStopped));
  }
}

TEST_SUITE("node/limits") {
  TEST_CASE("kTooLarge names the value and the limit, on the reactor and outside") {
    Cluster cluster(1, Setup{[](Options& options) {
                               options.limits.max_command_bytes = 100;
                               options.limits.max_call_bytes = 250;
                               options.limits.max_call_commands = 4;
                             },
                             {}});
    Raft& raft = *cluster.WaitForLeader().raft;
    MaybeResult one;
    MaybeResults many, bytes, exact;
    Owned a = CallOne(raft, std::string(101, 'x'), HandleOptions(), one);
    REQUIRE(one.has_value());
    CHECK(CodeOf(one) == Errc::kTooLarge);
    CHECK(one->error().message().find("101") != std::string::npos);
    CHECK(one->error().message().find("max_command_bytes (100)") != std::string::npos);
    Owned b = CallSpan(raft, {"1", "2", "3", "4", "5"}, HandleOptions(), many);
    REQUIRE((many && !*many));
    CHECK(many->error() == Errc::kTooLarge);
    CHECK(many->error().message().find("5 commands") != std::string::npos);
    CHECK(many->error().message().find("max_call_commands (4)") != std::string::npos);
    cluster.InTurn(
        [&] { Owned c = CallSpan(raft, std::vector<std::string>(3, std::string(84, 'y')), HandleOptions(), bytes); });
    REQUIRE((bytes && !*bytes));
    CHECK(bytes->error() == Errc::kTooLarge);
    CHECK(bytes->error().message().find("252 bytes") != std::string::npos);
    CHECK(bytes->error().message().find("max_call_bytes (250)") != std::string::npos);
    // Everything at its limit passes: 100 + 100 + 50 + 0 bytes, four commands.
    Owned d = CallSpan(raft, {std::string(100, 'z'), std::string(100, 'z'), std::string(50, 'z'), ""}, HandleOptions(),
                       exact);
    cluster.Until("the call", [&] { return exact.has_value(); });
    CHECK(exact->has_value());
  }

  TEST_CASE(
      "commands of 0, 1, limit - 1 and limit bytes reach the followers' machines as they are, one more does not") {
    constexpr size_t kLimit = 200'000;
    std::deque<ListMachine> machines;
    Cluster cluster(3, Setup{[](Options& options) { options.limits.max_command_bytes = kLimit; },
                             {},
                             [&](Reactor&, const Options& options) {
                               Options over_sockets = options;
                               over_sockets.make_rpc = {};  // the real transport, with its encoding
                               return Raft::Create(over_sockets, machines.emplace_back());
                             }});
    Raft& raft = *cluster.WaitForLeader().raft;
    std::vector<std::string> expected;
    for (size_t size : {size_t{0}, size_t{1}, kLimit - 1, kLimit, kLimit + 1, size_t{2}}) {
      CAPTURE(size);
      std::string command(size, '\0');
      for (size_t i = 0; i < size; ++i) command[i] = static_cast<char>(i * 131 + i / 251);
      const Result<Bytes> result = cluster.Handle(raft, command);
      CHECK(result.has_value() == (size <= kLimit));
      if (!result) CHECK(result.error() == Errc::kTooLarge);
      if (size <= kLimit) expected.push_back(command);
    }
    cluster.Until("all machines", [&] {
      for (ListMachine& machine : machines)
        if (machine.applied.size() < expected.size()) return false;
      return true;
    });
    for (ListMachine& machine : machines) CHECK((machine.applied == expected));
  }

  TEST_CASE("calls beyond max_waiting_calls end with kBusy, until others end") {
    Cluster cluster(1, Setup{[](Options& options) { options.limits.max_waiting_calls = 3; }, {}});
    Raft& raft = *cluster.WaitForLeader().raft;
    std::deque<MaybeResult> results(4);
    std::vector<Owned> callers;
    for (MaybeResult& result : results) callers.push_back(CallOne(raft, "x", HandleOptions(), result));
    CHECK(CodeOf(results[3]) == Errc::kBusy);
    REQUIRE(results[3].has_value());
    CHECK(results[3]->error().message().find("max_waiting_calls (3)") != std::string::npos);
    cluster.Until("the others", [&] { return results[0] && results[1] && results[2]; });
    for (int i = 0; i < 3; ++i) CHECK(results[i]->has_value());
    CHECK(cluster.Handle(raft, "again").has_value());
  }

  TEST_CASE("calls beyond max_waiting_bytes end with kBusy, on the leader and in the forwarder, until others end") {
    Cluster cluster(3, Setup{[](Options& options) {
                               options.limits.max_command_bytes = 100;
                               options.limits.max_call_bytes = 100;
                               options.limits.max_waiting_bytes = 300;
                             },
                             {}});
    Cluster::Node& leader = cluster.WaitForLeader();
    std::deque<MaybeResult> results(4);
    std::vector<Owned> callers;
    cluster.InTurn([&] {
      for (MaybeResult& result : results)
        callers.push_back(CallOne(*leader.raft, std::string(80, 'x'), HandleOptions(), result));
    });
    CHECK(CodeOf(results[3]) == Errc::kBusy);
    cluster.Until("the others", [&] { return results[0] && results[1] && results[2]; });
    for (int i = 0; i < 3; ++i) CHECK(results[i]->has_value());

    // Without a leader, forwarded calls wait until their bytes reach the limit. Calls that end make room.
    Cluster::Node& alone = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    for (auto& node : cluster.nodes) cluster.network.Cut(node.options.addr);
    cluster.Until("no leader", [&] {
      for (auto& node : cluster.nodes)
        if (node.raft->IsLeader() || node.raft->Status().leader) return false;
      return true;
    });
    std::deque<MaybeResult> forwarded(4);
    for (MaybeResult& result : forwarded)
      callers.push_back(CallOne(*alone.raft, std::string(80, 'f'), HandleOptions().Forward().Timeout(50ms), result));
    cluster.Until("all four", [&] { return forwarded[0] && forwarded[1] && forwarded[2] && forwarded[3]; });
    for (int i = 0; i < 3; ++i) CHECK(CodeOf(forwarded[i]) == Errc::kNoLeader);
    CHECK(CodeOf(forwarded[3]) == Errc::kBusy);
    cluster.Turns(20);
    MaybeResult late;
    callers.push_back(CallOne(*alone.raft, std::string(80, 'l'), HandleOptions().Forward().Timeout(50ms), late));
    cluster.Until("the late one", [&] { return late.has_value(); });
    CHECK(CodeOf(late) == Errc::kNoLeader);
  }

  TEST_CASE("calls beyond max_unapplied_bytes end with kBusy, until the machine continues") {
    Cluster cluster(1, Setup{[](Options& options) {
                               options.limits.max_command_bytes = 1000;
                               options.limits.max_call_bytes = 1000;
                               options.limits.max_unapplied_bytes = 3000;
                             },
                             {}});
    Cluster::Node& leader = cluster.WaitForLeader();
    leader.machine->fail_next = 3;
    std::deque<MaybeResult> results(6);
    std::vector<Owned> callers;
    for (MaybeResult& result : results) {
      callers.push_back(CallOne(*leader.raft, std::string(900, 'x'), HandleOptions(), result));
      cluster.Turns(3);
    }
    int busy = 0;
    cluster.Until("all of them", [&] {
      for (MaybeResult& result : results)
        if (!result) return false;
      return true;
    });
    for (MaybeResult& result : results) busy += CodeOf(result) == Errc::kBusy ? 1 : 0;
    CHECK(busy >= 1);
    CHECK(leader.machine->applied.size() == 6u - static_cast<size_t>(busy));
    CHECK(cluster.Handle(*leader.raft, "again").has_value());
  }
}
