// Two or more transports in one reactor, driven by the test, over the loopback device; and a proxy that can hold bytes
// back.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <kj/async-io.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "coro/scope.h"
#include "coro/signal.h"
#include "reactor/host.h"
#include "ringraft/admin.h"
#include "ringraft/reactor.h"
#include "ringraft/rpc.h"

namespace ringraft::rpc_test {

class CapturingLogger final : public Logger {
 public:
  void Write(LogLevel, std::string_view message) override { lines.emplace_back(message); }
  size_t Count(std::string_view part) const;
  std::vector<std::string> lines;
};

// The reactor. A test runs inside one Entered, in which turns nest.
class World {
 public:
  World();
  ~World();

  coro::Loop& loop() { return reactor_->host().loop(); }
  Reactor& reactor() { return *reactor_; }
  coro::Scope& scope() { return *scope_; }
  // Turns until the condition holds; fails the test if it does not for very long.
  void RunUntil(const std::function<bool()>& condition);
  void RunFor(Duration duration);

 private:
  std::unique_ptr<Reactor> reactor_;
  std::optional<coro::Loop::Entered> entered_;
  std::optional<coro::Scope> scope_;
};

uint16_t FreePort();
Addr Loopback(uint16_t port);

// Replies when the test releases it.
class FakeService final : public RpcService {
 public:
  explicit FakeService(World& world) : changed(world.loop()) {}

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override;
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override;
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override;
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) override;
  Result<void> OnHandshake(const Identity& peer) override;
  Result<void> OnCall(const Identity& peer) override;
  Result<AdminService*> Admin(std::optional<GroupId> group) override;

  void Hold() { is_held = true; }
  void LetGo();

  bool is_held = false;  // calls other than heartbeats wait
  coro::Signal changed;
  std::vector<AppendEntriesArgs> appends;  // in the order in which they started
  std::vector<RequestVoteArgs> votes;
  std::vector<ForwardArgs> forwards;
  std::vector<Identity> handshakes;
  size_t finished = 0;
  Result<AppendEntriesResults> append_answer = AppendEntriesResults();
  Result<RequestVoteResults> vote_answer = RequestVoteResults();
  std::optional<Error> forward_error;
  Error handshake_answer;
  uint64_t least_start = 0;       // peers with an earlier start count are refused
  AdminService* admin = nullptr;  // null: a service without operators' calls
};

// A node: a service, an identity, a transport that listens.
class Node {
 public:
  Node(World& world, uint64_t id, ClusterId cluster = ClusterId{1, 2}, RpcOptions options = {});
  ~Node();

  Addr addr() const { return Loopback(port); }
  NodeId id() const { return identity.node; }

  World& world;
  uint16_t port;
  Identity identity;
  CapturingLogger logger;
  FakeService service;
  std::unique_ptr<Rpc> rpc;
};

// Runs a call; `result` is set once it has ended. The destructor cancels the call.
template <class T>
class Running {
 public:
  Running(World& world, Task<Result<T>> task) : scope_(world.loop()) { scope_.Start(Run(std::move(task), result)); }
  void Drop() { scope_.Cancel(); }
  bool is_done() const { return result.has_value(); }
  std::optional<Result<T>> result;

 private:
  static Task<void> Run(Task<Result<T>> task, std::optional<Result<T>>& result) {
    Result<T> outcome = co_await task;
    result.emplace(std::move(outcome));
  }
  coro::Scope scope_;
};

template <class T>
Result<T> Finish(World& world, Task<Result<T>> task) {
  Running<T> running(world, std::move(task));
  world.RunUntil([&running]() { return running.is_done(); });
  return std::move(*running.result);
}

// Forwards connections to an address. Each can be stopped from taking bytes of the caller, or be cut.
class Proxy {
 public:
  Proxy(World& world, Addr target);
  ~Proxy();

  Addr addr() const { return Loopback(port_); }
  size_t connections() const { return connections_.size(); }
  void Pause(size_t connection) { connections_[connection]->is_paused = true; }
  void Resume(size_t connection);
  void Cut(size_t connection) { connections_[connection]->pumps.reset(); }

 private:
  struct Connection {
    explicit Connection(coro::Loop& loop) : changed(loop) {}
    coro::Signal changed;
    bool is_paused = false;
    std::unique_ptr<coro::Scope> pumps;
  };
  struct Ends;

  Task<void> AcceptLoop();
  static Task<void> Forward(World& world, reactor::KjStream caller, Addr target, Connection& connection);
  static Task<void> Pump(World& world, std::shared_ptr<Ends> ends, bool from_caller, Connection& connection);

  World& world_;
  Addr target_;
  uint16_t port_;
  std::unique_ptr<reactor::KjListener> listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<coro::Scope> accepting_;
};

// A batch with one entry, with a command of the given size.
BatchRef MakeTestBatch(uint64_t index, uint64_t term, size_t command_bytes);
AppendEntriesArgs AppendTo(const Node& from, const Node& to, std::vector<BatchRef> entries = {});

// Returns true if the watched batch has been freed since `Watch`. One batch at a time.
void Watch(const BatchRef& batch);
bool IsFreed();

}  // namespace ringraft::rpc_test
