// Counts heap allocations in steady state. Sanitizers have their own operator new, so the case is absent there.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RINGRAFT_TEST_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RINGRAFT_TEST_SANITIZED
#endif

#ifndef RINGRAFT_TEST_SANITIZED

#include <atomic>
#include <cstdlib>
#include <new>

#include "cluster.h"
#include "support.h"

namespace {
std::atomic<long> allocations{0};

void* Allocate(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
}  // namespace

void* operator new(size_t size) { return Allocate(size); }
void* operator new[](size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

using namespace ringraft;
using namespace ringraft::test;

namespace {

class SilentMachine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    for (size_t i = 0; i < entries.size(); ++i) results.Add("ok");
    return entries.size();
  }
};

struct Load {
  int left = 0;
  int running = 0;
  bool has_failed = false;
};

Detached KeepCalling(Raft& raft, const std::string& command, Load& load) {
  ++load.running;
  while (load.left > 0) {
    --load.left;
    Result<Bytes> result = co_await raft.Handle(command);
    if (!result || result.value().view() != "ok") load.has_failed = true;
  }
  --load.running;
}

// Allocations of the whole process (all nodes, transport and storage included) for `commands` calls.
long Count(Cluster& cluster, Raft& raft, const std::string& command, int commands, int outstanding) {
  Load load;
  load.left = commands;
  long before = allocations.load();
  cluster.reactor->Post([&] {
    for (int i = 0; i < outstanding; ++i) KeepCalling(raft, command, load);
  });
  while (load.left > 0 || load.running > 0) cluster.reactor->RunOnce(std::chrono::milliseconds(5));
  CHECK(!load.has_failed);
  return allocations.load() - before - outstanding;  // the callers' own frames
}

struct Machines {
  explicit Machines(size_t size) : cluster(0) {
    for (uint64_t id = 1; id <= size; ++id) members.push_back(PeerAt(id));
    for (uint64_t id = 1; id <= size; ++id) {
      Options options = Cluster::MakeOptions(id);
      options.election_timeout_min = std::chrono::seconds(2);
      options.election_timeout_max = std::chrono::seconds(3);
      options.heartbeat_interval = std::chrono::seconds(1);  // so that only commands are counted
      options.initial_members = members;
      options.storage = MakeMemoryStorage();
      options.make_rpc = [this](Reactor& on) { return std::make_unique<LocalRpc>(on, cluster.network); };
      auto raft = Raft::Create(options, machine);
      REQUIRE(raft.has_value());
      rafts.push_back(std::move(raft.value()));
      REQUIRE(rafts.back()->Run(*cluster.reactor).has_value());
    }
  }
  Raft& Leader() {
    Raft* leader = nullptr;
    cluster.Until("a leader", [&] {
      for (auto& raft : rafts)
        if (raft->IsLeader()) leader = raft.get();
      return leader != nullptr;
    });
    return *leader;
  }

  Cluster cluster;
  SilentMachine machine;
  std::vector<Peer> members;
  std::vector<std::unique_ptr<Raft>> rafts;
};

}  // namespace

TEST_SUITE("node/allocation") {
  TEST_CASE("no heap allocation per command in steady state") {
    for (size_t nodes : {1, 3}) {
      for (size_t payload : {16, 128}) {
        Machines machines(nodes);
        Raft& leader = machines.Leader();
        std::string command(payload, 'x');
        Count(machines.cluster, leader, command, 20000, 4096);
        double few = static_cast<double>(Count(machines.cluster, leader, command, 10000, 256)) / 10000;
        double many = static_cast<double>(Count(machines.cluster, leader, command, 40000, 4096)) / 40000;
        MESSAGE(nodes << " nodes, " << payload << " bytes: " << few << " allocations a command with 256 outstanding, "
                      << many << " with 4096");
        // The rest is per batch, on all nodes together: each holds a quarter of the outstanding commands.
        CHECK(few * 256 / 4 < (nodes == 1 ? 4 : 24));
        CHECK(many < 0.05);
        if (nodes == 1) CHECK(few < 0.05);
      }
    }
  }
}

#endif  // RINGRAFT_TEST_SANITIZED
