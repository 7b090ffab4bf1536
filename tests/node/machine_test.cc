// State machines that are durable, slow, failing, or wrong.
#include "cluster.h"
#include "coro/signal.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

// A machine on one node that starts the cluster itself.
template <class Machine>
struct OneNode {
  OneNode(Cluster& cluster, Machine& machine, std::shared_ptr<Storage> storage, Logger* logger = &SilentLogger()) {
    Options options = Cluster::MakeOptions(1);
    options.bootstrap_as_leader = true;
    options.logger = logger;
    options.storage = std::move(storage);
    options.make_rpc = [&cluster](Reactor& on) { return std::make_unique<LocalRpc>(on, cluster.network); };
    auto created = Raft::Create(options, machine);
    REQUIRE(created.has_value());
    raft = std::move(created.value());
    REQUIRE(raft->Run(*cluster.reactor).has_value());
    cluster.Until("it to lead", [&] { return raft->IsLeader(); });
  }
  std::unique_ptr<Raft> raft;
};

class DurableMachine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (const LogEntry& entry : entries) {
      if (entry.index <= applied) saw_twice = true;
      if (raft != nullptr && !is_durable(entry.index)) saw_undurable = true;
      applied = entry.index;
      commands.emplace_back(entry.command);
      results.Add("ok");
    }
    return entries.size();
  }
  bool IsDurable() const override { return true; }
  Index AppliedIndex() const override { return applied; }

  Index applied;
  std::vector<std::string> commands;
  Raft* raft = nullptr;
  std::function<bool(Index)> is_durable;
  bool saw_twice = false, saw_undurable = false;
};

class WaitingMachine final : public AsyncStateMachine {
 public:
  explicit WaitingMachine(Reactor& reactor) : opened(reactor.host().loop()) {}
  Task<Result<size_t>> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    ++rounds;
    while (!is_open) {
      auto woken = opened.Wait();
      co_await woken;
    }
    size_t count = entries.size() > 1 ? entries.size() - 1 : 1;  // never all at once
    for (size_t i = 0; i < count; ++i) {
      commands.emplace_back(entries[i].command);
      results.Add(commands.back());
    }
    co_return count;
  }
  coro::Signal opened;
  bool is_open = false;
  int rounds = 0;
  std::vector<std::string> commands;
};

class WrongMachine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    size_t given = wrong.empty() ? entries.size() : wrong.front().second;
    size_t claimed = wrong.empty() ? entries.size() : wrong.front().first;
    if (!wrong.empty()) wrong.pop_front();
    for (size_t i = 0; i < given; ++i) results.Add("r");
    ++rounds;
    return claimed;
  }
  std::deque<std::pair<size_t, size_t>> wrong;  // (claimed, results given)
  int rounds = 0;
};

class CountingLogger final : public Logger {
 public:
  void Write(LogLevel level, std::string_view line) override {
    if (level != LogLevel::kError) return;
    ++errors;
    last = line;
  }
  std::atomic<int> errors{0};
  std::string last;
};

}  // namespace

TEST_SUITE("node/machine") {
  TEST_CASE("a durable machine gets only entries that are durable on its own node, and none twice across restarts") {
    Cluster cluster(0);
    std::vector<Peer> members = {PeerAt(1), PeerAt(2), PeerAt(3)};
    std::vector<std::shared_ptr<GatedStorage>> disks;
    std::deque<DurableMachine> machines(3);
    std::vector<std::unique_ptr<Raft>> rafts(3);
    auto start = [&](size_t i) {
      Options options = Cluster::MakeOptions(i + 1);
      options.initial_members = members;
      options.storage = disks[i];
      options.make_rpc = [&](Reactor& on) { return std::make_unique<LocalRpc>(on, cluster.network); };
      machines[i].is_durable = [&disks, i](Index index) { return disks[i]->Log().Last().value().index >= index; };
      auto raft = Raft::Create(options, machines[i]);
      REQUIRE(raft.has_value());
      rafts[i] = std::move(raft.value());
      machines[i].raft = rafts[i].get();
      REQUIRE(rafts[i]->Run(*cluster.reactor).has_value());
    };
    for (size_t i = 0; i < 3; ++i) disks.push_back(std::make_shared<GatedStorage>());
    for (size_t i = 0; i < 3; ++i) start(i);
    size_t leader = 3;
    auto find_leader = [&] {
      cluster.Until("a leader", [&] {
        for (size_t i = 0; i < 3; ++i)
          if (rafts[i]->IsLeader()) leader = i;
        return leader < 3 && rafts[leader]->IsLeader();
      });
    };
    find_leader();
    REQUIRE(cluster.Handle(*rafts[leader], "1").has_value());
    {
      // The leader's own disk hangs. The others commit, so the leader knows the commit index, and still does not
      // apply.
      ShutGate gate(*disks[leader]);
      size_t before = machines[leader].commands.size();
      MaybeResult result;
      Owned caller = CallOne(*rafts[leader], "2", HandleOptions(), result);
      cluster.Until("the commit", [&] {
        RaftStatus status = rafts[leader]->Status();
        return status.commit_index == status.last_index && status.durable_index < status.last_index;
      });
      cluster.Turns(10);
      CHECK(machines[leader].commands.size() == before);
      CHECK(!result.has_value());
      disks[leader]->Open();
      cluster.Until("the call", [&] { return result.has_value(); });
      CHECK(result->has_value());
    }
    for (int round = 0; round < 2; ++round) {
      for (auto& raft : rafts) raft.reset();
      for (size_t i = 0; i < 3; ++i) start(i);
      find_leader();
      REQUIRE(cluster.Handle(*rafts[leader], std::to_string(3 + round)).has_value());
    }
    cluster.Until("all machines", [&] {
      for (DurableMachine& machine : machines)
        if (machine.commands.size() < 4) return false;
      return true;
    });
    for (DurableMachine& machine : machines) {
      CHECK(machine.commands == std::vector<std::string>{"1", "2", "3", "4"});
      CHECK(!machine.saw_twice);
      CHECK(!machine.saw_undurable);
    }
  }

  TEST_CASE("a volatile machine gives results while its own disk hangs") {
    std::vector<std::shared_ptr<GatedStorage>> disks;
    Cluster cluster(3, Setup{{}, [&](uint64_t) {
                               disks.push_back(std::make_shared<GatedStorage>());
                               return disks.back();
                             }});
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "1").has_value());
    ShutGate gate(*disks[leader.options.id.value() - 1]);
    CHECK(cluster.Handle(*leader.raft, "2").value().view() == "2:2");
    CHECK(leader.raft->Status().durable_index < leader.raft->Status().commit_index);
  }

  TEST_CASE("a coroutine machine may wait while the node continues") {
    Cluster cluster(0);
    WaitingMachine machine(*cluster.reactor);
    OneNode<WaitingMachine> node(cluster, machine, MakeMemoryStorage());
    std::deque<MaybeResult> results(3);
    std::vector<Owned> callers;
    cluster.InTurn([&] {
      for (int i = 0; i < 3; ++i)
        callers.push_back(CallOne(*node.raft, std::to_string(i), HandleOptions(), results[static_cast<size_t>(i)]));
    });
    cluster.Until("it to wait", [&] { return machine.rounds == 1; });
    cluster.Turns(5);
    for (MaybeResult& result : results) CHECK(!result.has_value());
    cluster.InTurn([&] {
      machine.is_open = true;
      machine.opened.Notify();
    });
    cluster.Until("the results", [&] { return results[0] && results[1] && results[2]; });
    for (int i = 0; i < 3; ++i) CHECK(results[static_cast<size_t>(i)]->value().view() == std::to_string(i));
    CHECK(machine.commands == std::vector<std::string>{"0", "1", "2"});
  }

  TEST_CASE("a node stops while its machine waits") {
    Cluster cluster(0);
    WaitingMachine machine(*cluster.reactor);
    OneNode<WaitingMachine> node(cluster, machine, MakeMemoryStorage());
    MaybeResult result;
    Owned caller = CallOne(*node.raft, "x", HandleOptions(), result);
    cluster.Until("it to wait", [&] { return machine.rounds == 1; });
    node.raft.reset();
    CHECK(CodeOf(result) == Errc::kUnknown);
  }

  TEST_CASE("a machine that fails is retried, and the caller gets its result in the end") {
    Cluster cluster(1);
    Cluster::Node& leader = cluster.WaitForLeader();
    leader.machine->fail_next = 4;
    Result<Bytes> result = cluster.Handle(*leader.raft, "x");
    REQUIRE(result.has_value());
    CHECK(result.value().view() == "1:x");
    CHECK(leader.machine->fail_next == 0);
  }

  TEST_CASE("no progress, too much progress and a wrong number of results are logged as errors and retried") {
    Cluster cluster(0);
    WrongMachine machine;
    CountingLogger logger;
    OneNode<WrongMachine> node(cluster, machine, MakeMemoryStorage(), &logger);
    machine.wrong = {{0, 0}, {1, 0}, {1, 2}, {2, 2}, {0, 1}};
    Result<Bytes> result = cluster.Handle(*node.raft, "x");
    REQUIRE(result.has_value());
    CHECK(result.value().view() == "r");
    CHECK(machine.rounds == 6);
    CHECK(logger.errors == 5);
    CHECK(logger.last.find("reports 0 of 1 entries as applied and 1 results") != std::string::npos);
  }
}
