// A cluster in one process for tests: nodes on one reactor that the test drives, memory storage, local transport.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "local_rpc.h"
#include "ringraft/raft.h"

namespace ringraft::test {

// Appends every command to a list and answers with "<position>:<command>".
class ListMachine : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    if (fail_next > 0) {
      --fail_next;
      return Error(Errc::kApply, "ordered to fail");
    }
    size_t most = std::min(entries.size(), most_at_once);
    for (size_t i = 0; i < most; ++i) {
      applied.emplace_back(entries[i].command);
      last = entries[i].index;
      results.Add(std::to_string(applied.size()) + ":" + applied.back());
    }
    return most;
  }

  std::vector<std::string> applied;
  Index last;
  int fail_next = 0;
  size_t most_at_once = SIZE_MAX;
};

// A coroutine without an owner: it starts at once and frees itself. What a user's own coroutine type might be.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};

inline Peer PeerAt(uint64_t id) { return Peer(NodeId(id), Addr("127.0.0.1:" + std::to_string(7100 + id))); }

// How the nodes of a cluster differ from the defaults.
struct Setup {
  std::function<void(Options&)> tune = {};
  std::function<std::shared_ptr<Storage>(uint64_t id)> make_storage = {};
  // With a state machine of the test's own.
  std::function<Result<std::unique_ptr<Raft>>(Reactor& reactor, const Options& options)> make_raft = {};
};

class Cluster {
 public:
  explicit Cluster(size_t size, Setup of = {}) : setup(std::move(of)) {
    auto created = Reactor::Create();
    REQUIRE(created.has_value());
    reactor = std::move(created.value());
    for (uint64_t id = 1; id <= size; ++id) members.push_back(PeerAt(id));
    for (uint64_t id = 1; id <= size; ++id) Add(id, members);
  }
  ~Cluster() {
    for (auto& node : nodes) node.raft.reset();
  }

  struct Node {
    Options options;
    std::shared_ptr<Storage> storage;
    std::unique_ptr<ListMachine> machine;
    std::unique_ptr<Raft> raft;
  };

  static Options MakeOptions(uint64_t id) {
    Options options;
    options.id = NodeId(id);
    options.addr = PeerAt(id).addr;
    options.election_timeout_min = std::chrono::milliseconds(200);
    options.election_timeout_max = std::chrono::milliseconds(400);
    options.heartbeat_interval = std::chrono::milliseconds(20);
    options.logger = &SilentLogger();
    options.seed = id;
    return options;
  }

  Node& Add(uint64_t id, std::vector<Peer> initial) {
    Node node;
    node.options = MakeOptions(id);
    node.options.initial_members = std::move(initial);
    if (setup.tune) setup.tune(node.options);
    node.storage = setup.make_storage ? setup.make_storage(id) : MakeMemoryStorage();
    nodes.push_back(std::move(node));
    Restart(nodes.back());
    return nodes.back();
  }

  void Restart(Node& node) {
    node.raft.reset();
    node.machine = std::make_unique<ListMachine>();
    node.options.storage = node.storage;
    node.options.make_rpc = [this](Reactor& on) { return std::make_unique<LocalRpc>(on, network); };
    auto raft = setup.make_raft ? setup.make_raft(*reactor, node.options) : Raft::Create(node.options, *node.machine);
    REQUIRE_MESSAGE(raft.has_value(), raft.error().message());
    node.raft = std::move(raft.value());
    REQUIRE(node.raft->Run(*reactor).has_value());
  }

  // Drives the reactor until the condition holds; fails the test after 60 s.
  void Until(const char* what, const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      REQUIRE_MESSAGE(Clock::now() < deadline, "timed out waiting for: " << std::string(what) << Describe());
      reactor->RunOnce(std::chrono::milliseconds(5));
    }
  }

  std::string Describe() const {
    std::string text;
    for (const Node& node : nodes) {
      if (node.raft == nullptr) continue;
      RaftStatus status = node.raft->Status();
      text += "\n  node " + std::to_string(status.id.value()) + (status.is_stopped ? " stopped " : " ") +
              ToString(status.role) + " term " + std::to_string(status.term.value()) + " last " +
              std::to_string(status.last_index.value()) + " durable " + std::to_string(status.durable_index.value()) +
              " commit " + std::to_string(status.commit_index.value()) + " applied " +
              std::to_string(status.applied_index.value()) + " members";
      for (const PeerStatus& peer : status.peers) text += " " + std::to_string(peer.peer.id.value());
    }
    return text;
  }

  Node* Leader() {
    Node* leader = nullptr;
    for (Node& node : nodes)
      if (node.raft != nullptr && node.raft->IsLeader() && !network.IsCut(node.options.addr)) leader = &node;
    return leader;
  }
  Node& WaitForLeader() {
    Until("a leader", [&] { return Leader() != nullptr; });
    return *Leader();
  }

  // Starts a call on the reactor and waits for its end.
  Result<Bytes> Handle(Raft& raft, std::string command, HandleOptions options = HandleOptions()) {
    std::optional<Result<Bytes>> result;
    reactor->Post([&] { HandleInto(raft, command, options, result); });
    Until("the end of a call", [&] { return result.has_value(); });
    return std::move(*result);
  }
  static Detached HandleInto(Raft& raft, std::string command, HandleOptions options,
                             std::optional<Result<Bytes>>& result) {
    Result<Bytes> got = co_await raft.Handle(command, options);
    result = std::move(got);
  }

  // Starts a change of the members and waits for its end.
  Result<void> ChangeConfig(Raft& raft, ConfigChange change, HandleOptions options = HandleOptions()) {
    std::optional<Result<void>> result;
    ChangeInto(raft, std::move(change), options, result);
    Until("the end of a configuration change", [&] { return result.has_value(); });
    return std::move(*result);
  }
  static Detached ChangeInto(Raft& raft, ConfigChange change, HandleOptions options,
                             std::optional<Result<void>>& result) {
    auto call = raft.ChangeConfig(std::move(change), options);
    Result<void> got = co_await call;
    result = std::move(got);
  }

  // Runs the function inside a turn.
  void InTurn(const std::function<void()>& function) {
    bool has_run = false;
    reactor->Post([&] {
      function();
      has_run = true;
    });
    Until("a posted function", [&] { return has_run; });
  }
  void Turns(int count) {
    for (int i = 0; i < count; ++i) reactor->RunOnce(std::chrono::milliseconds(1));
  }
  Node& At(uint64_t id) {
    for (Node& node : nodes)
      if (node.options.id == NodeId(id)) return node;
    FAIL("no such node");
    return nodes.front();
  }

  Setup setup;
  LocalNetwork network;
  std::unique_ptr<Reactor> reactor;
  std::vector<Peer> members;
  std::deque<Node> nodes;
};

}  // namespace ringraft::test
