// The public door: `co_await raft.Handle(command)`.
#pragma once

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "ringraft/bytes.h"
#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/event.h"
#include "ringraft/executor.h"
#include "ringraft/options.h"
#include "ringraft/reactor.h"
#include "ringraft/state_machine.h"
#include "ringraft/status.h"
#include "ringraft/types.h"

namespace ringraft {

namespace node {
class EventQueue;
class Node;
struct CallSlot;
}  // namespace node

// How one call shall go. Write it in place: `raft.Handle(command, HandleOptions().Timeout(100ms))`.
class HandleOptions {
 public:
  HandleOptions() noexcept {}

  // Ends the call with kUnknown (kNoLeader if it was waiting for a leader) at the deadline, up to 5 ms late.
  HandleOptions& Deadline(TimePoint deadline) {
    deadline_ = deadline;
    return *this;
  }
  HandleOptions& Timeout(Duration timeout) { return Deadline(Clock::now() + timeout); }
  // Resume through `executor` instead of inline on the reactor's thread. It must live until the node has
  // stopped: a caller may be destroyed just before the node posts for it.
  HandleOptions& On(Executor& executor) {
    executor_ = &executor;
    return *this;
  }
  // Requesting a stop ends the call with kUnknown.
  HandleOptions& StopOn(std::stop_token token) {
    stop_token_ = std::move(token);
    return *this;
  }
  // On a node that does not lead, send the commands to the leader, and wait for one up to the deadline (10 s if none
  // is given) instead of ending with kNotLeader.
  HandleOptions& Forward() {
    forward_ = true;
    return *this;
  }

 private:
  friend class Call;
  friend class node::Node;
  std::optional<TimePoint> deadline_;
  Executor* executor_ = nullptr;
  std::stop_token stop_token_;
  bool forward_ = false;
};

// The common part of what `Handle`, `ChangeConfig`, `Done` and the others return. Await it once; until then it may be
// moved. It may be destroyed while it is awaited (with the coroutine that awaits it): the outcome is then unknown.
class Call {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Resume through `executor`, whatever the options said. For adapters (asio.h); before the call is awaited.
  void ResumeOn(Executor& executor) { options_.On(executor); }

  bool await_ready() const noexcept { return false; }
  // False (go on at once) if the call was refused.
  bool await_suspend(std::coroutine_handle<> caller);

 protected:
  Call(node::Node& node, HandleOptions options) : node_(node), options_(std::move(options)) {}
  // Of a call that has not been awaited: there is no slot yet.
  Call(Call&& other) noexcept : node_(other.node_), options_(std::move(other.options_)), commands_(other.commands_) {}
  ~Call();
  friend class node::Node;

  // Ends the call: its error if it has one. On success the results are in the slot until `Release`, if there is a slot.
  Error Finish();
  void Release();

  struct OnStopRequest {
    node::CallSlot* slot;
    uint32_t generation;
    void operator()() const noexcept;
  };

  node::Node& node_;
  uint32_t generation_ = 0;
  node::CallSlot* slot_ = nullptr;  // ours from await_suspend to Release
  HandleOptions options_;
  Error refused_;  // when there is no slot
  std::span<const Command> commands_;
  std::optional<std::stop_callback<OnStopRequest>> on_stop_;
};

class [[nodiscard]] HandleOneCall : public Call {
 public:
  HandleOneCall(node::Node& node, Command command, HandleOptions options)
      : Call(node, std::move(options)), command_(command) {
    commands_ = std::span<const Command>(&command_, 1);
  }
  HandleOneCall(HandleOneCall&& other) noexcept : Call(std::move(other)), command_(other.command_) {
    commands_ = std::span<const Command>(&command_, 1);
  }
  // The state machine's result for the command.
  Result<Bytes> await_resume();

 private:
  Command command_;
};

class [[nodiscard]] HandleManyCall : public Call {
 public:
  HandleManyCall(node::Node& node, std::span<const Command> commands, HandleOptions options)
      : Call(node, std::move(options)) {
    commands_ = commands;
  }
  bool await_ready() const noexcept { return commands_.empty(); }  // no commands: success at once
  // The state machine's results, one for each command, in their order.
  Result<std::vector<Bytes>> await_resume();
};

class [[nodiscard]] ChangeConfigCall : public Call {
 public:
  ChangeConfigCall(node::Node& node, ConfigChange change, HandleOptions options)
      : Call(node, std::move(options)), change_(std::move(change)) {}
  bool await_ready() const noexcept { return change_.empty(); }  // no steps change nothing: success at once
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();

 private:
  ConfigChange change_;
};

class [[nodiscard]] AbortConfigChangeCall : public Call {
 public:
  AbortConfigChangeCall(node::Node& node, HandleOptions options) : Call(node, std::move(options)) {}
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();
};

class [[nodiscard]] TransferLeadershipCall : public Call {
 public:
  TransferLeadershipCall(node::Node& node, NodeId to, HandleOptions options)
      : Call(node, std::move(options)), to_(to) {}
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();

 private:
  NodeId to_;
};

class [[nodiscard]] DoneCall : public Call {
 public:
  explicit DoneCall(node::Node& node, HandleOptions options) : Call(node, std::move(options)) {}
  bool await_suspend(std::coroutine_handle<> caller);
  // Success after `Stop`; the reason if the node stopped by itself (a failed disk, for instance).
  Result<void> await_resume();
};

class [[nodiscard]] NextEventCall : public Call {
 public:
  NextEventCall(node::Node& node, std::shared_ptr<node::EventQueue> queue, HandleOptions options)
      : Call(node, std::move(options)), queue_(std::move(queue)) {}
  bool await_ready() const noexcept;  // there is one already
  bool await_suspend(std::coroutine_handle<> caller);
  Result<Event> await_resume();

 private:
  std::shared_ptr<node::EventQueue> queue_;
};

// What changes from its making on, in order (Raft::Events). One thread at a time. It must not outlive its Raft, but may
// be destroyed while its `Next` waits.
class EventStream {
 public:
  EventStream(node::Node& node, std::shared_ptr<node::EventQueue> queue) : node_(&node), queue_(std::move(queue)) {}
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept;
  ~EventStream();

  // The next event, once there is one; await it before the next `Next`. At most 1024 wait to be taken; then the oldest
  // is dropped, and the event that follows says how many (Event::lost). Of the options only the executor counts.
  // Errors: kStopped once the last event, EventKind::kStopped, has been taken; kBusy as of any call;
  // kInvalidArgument of a `Next` that waits when another one begins.
  NextEventCall Next(HandleOptions options = HandleOptions()) {
    return NextEventCall(*node_, queue_, std::move(options));
  }

 private:
  void Close();

  node::Node* node_;
  std::shared_ptr<node::EventQueue> queue_;
};

// One member of a Raft group. All members may be called from any thread unless said otherwise.
class Raft {
 public:
  // Validates the options, opens the storage and checks whose it is. Touches no network. `state_machine` must outlive
  // the node. Errors: kInvalidArgument, kWrongNode, kWrongCluster, kWrongVersion, kLocked, kCorrupt, kIo.
  static Result<std::unique_ptr<Raft>> Create(Options options, StateMachine& state_machine);
  static Result<std::unique_ptr<Raft>> Create(Options options, AsyncStateMachine& state_machine);
  // Stops the node if it still runs, and waits for it. Calls that wait end with kStopped or kUnknown first. Not to be
  // called from one of its own callers that has been resumed inline.
  ~Raft();

  NodeId Id() const;
  const ringraft::Addr& Addr() const;

  // Starts the node on the reactor and returns. It must be stopped before the reactor is destroyed. Listens before it
  // returns. Errors: kRanRepeatedly, kStopped; kIo and kInvalidArgument from listening.
  Result<void> Run(Reactor& reactor);
  // Begins to stop, and returns. A leader first hands its leadership over to the voting member that has most of its
  // log, if one answers, for at most the longest election time-out; calls that begin meanwhile end with kStopped. Then
  // every call ends: kUnknown if it is in the log, kStopped otherwise. Idempotent. The destructor hands nothing over.
  void Stop();
  // `co_await raft.Done()` completes once the node has stopped. Of the options only the executor counts; it must live
  // until then.
  DoneCall Done(HandleOptions options = HandleOptions()) { return DoneCall(*node_, std::move(options)); }

  bool IsLeader() const;
  // As of the end of the last turn.
  RaftStatus Status() const;

  // Leadership, members and health, from now on. First this, then `Status`: nothing is missed.
  EventStream Events();

  // Append, replicate, commit, apply; then the state machine's result. The bytes are copied before the caller is
  // suspended. Errors: kNotLeader, kBusy, kTooLarge, kStopped: certainly not in the log; kUnknown: it may be applied,
  // now or later; kNoLeader (with Forward).
  HandleOneCall Handle(Command command, HandleOptions options = HandleOptions()) {
    return HandleOneCall(*node_, command, std::move(options));
  }
  // All commands as one append, next to each other in the log. `commands` must live until the caller is suspended.
  HandleManyCall Handle(std::span<const Command> commands, HandleOptions options = HandleOptions()) {
    return HandleManyCall(*node_, commands, std::move(options));
  }
  // Any number of members are added, removed, promoted and demoted in one step (joint consensus, §4.3): success once
  // C(new) is committed. No steps are a no-op. New voters get the log first (§4.2.1), without having any part in the
  // cluster: in at most 10 rounds, the last of them shorter than the shortest election time-out. A call that ends
  // before that, by its deadline or a stop request, or because its caller is destroyed, takes the change with it.
  //
  // A leader that the change removes or demotes leads until C(new) is committed, and hands the leadership over then.
  //
  // Errors after which nothing has changed: kNotLeader, kConfigInProgress, kConfigChanged, kTransferInProgress,
  // kTooSlowToCatchUp, kChangeAborted, kAlreadyMember, kNotMember, kEmptyConfig, kInvalidArgument, kNoQuorum. kUnknown
  // as above.
  ChangeConfigCall ChangeConfig(ConfigChange change, HandleOptions options = HandleOptions()) {
    return ChangeConfigCall(*node_, std::move(change), std::move(options));
  }
  ChangeConfigCall ChangeConfig(std::vector<Peer> added, std::vector<NodeId> removed,
                                HandleOptions options = HandleOptions()) {
    ConfigChange change;
    for (Peer& peer : added) change.AddVoter(std::move(peer));
    for (NodeId id : removed) change.Remove(id);
    return ChangeConfigCall(*node_, std::move(change), std::move(options));
  }
  // Ends the change whose new voters catch up now, whoever asked for it, with kChangeAborted. Success also if there is
  // none. Errors: kNotLeader; kConfigInProgress if the change is in the log already: only another one leads back then.
  AbortConfigChangeCall AbortConfigChange(HandleOptions options = HandleOptions()) {
    return AbortConfigChangeCall(*node_, std::move(options));
  }

  // Hands the leadership over to a voting member (dissertation §3.10), to the one that has most of the log if none is
  // named. Success once that one is known to lead. Meanwhile commands wait; if it does not take over within the longest
  // election time-out, or before the deadline, this node leads on. Errors: kNotLeader, kTransferInProgress,
  // kTransferFailed, kInvalidArgument (this node, or no voting member); kUnknown as above, and without a deadline if
  // four such time-outs do not tell who leads.
  TransferLeadershipCall TransferLeadership(NodeId to = NodeId(0), HandleOptions options = HandleOptions()) {
    return TransferLeadershipCall(*node_, to, std::move(options));
  }

  // The library's own parts look inside.
  node::Node& node() { return *node_; }

 private:
  explicit Raft(std::unique_ptr<node::Node> node);
  std::unique_ptr<node::Node> node_;
};

}  // namespace ringraft
