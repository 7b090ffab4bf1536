// The public API: one member of a Raft group. `co_await raft.Handle(command)` from any coroutine, on any thread.
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
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

namespace node {
class Calls;
class EventQueue;
class Node;
struct CallSlot;
}  // namespace node

// Options of one call. Write them in place: `raft.Handle(command, HandleOptions().Timeout(100ms))`.
class HandleOptions {
 public:
  HandleOptions() noexcept {}

  // Ends the call at the deadline, up to 5 ms late. The table at `Call` says with which error. None by default.
  HandleOptions& Deadline(TimePoint deadline) {
    deadline_ = deadline;
    return *this;
  }
  HandleOptions& Timeout(Duration timeout) { return Deadline(Clock::now() + timeout); }
  // Resumes the caller through `executor` instead of inline on the reactor's thread. The executor must live until the
  // node has stopped: even for a caller that has been destroyed, the node may still post to it.
  HandleOptions& On(Executor& executor) {
    executor_ = &executor;
    return *this;
  }
  // A stop request, on any thread, ends the call; the table at `Call` says with which error. One that precedes the
  // await refuses the call with kUnknown.
  HandleOptions& StopOn(std::stop_token token) {
    stop_token_ = std::move(token);
    return *this;
  }
  // `Handle` only: a node that is not the leader sends the commands to the leader, and waits for one until the deadline
  // (10 s if there is none), instead of ending the call with kNotLeader.
  HandleOptions& Forward() {
    forward_ = true;
    return *this;
  }

 private:
  friend class Call;
  friend class node::Calls;
  std::optional<TimePoint> deadline_;
  Executor* executor_ = nullptr;
  std::stop_token stop_token_;
  bool forward_ = false;
};

// The common part of the awaitables below. Nothing happens until a call is awaited; it is awaited at most once, and may
// be moved or dropped before. It must not outlive its Raft, except while it waits to be resumed through an executor.
//
// A call that is refused at once does not suspend its caller. Otherwise the caller is resumed on the reactor's thread,
// in a turn (it must not block there), or through the executor of the options.
//
// Cancelling. A caller that is suspended may be destroyed at any time, on any thread, provided that it cannot be
// resumed at that moment on another thread (executor.h); a stop token and a deadline end the call and resume the
// caller. None of them removes what is in the log already:
//
//                       caller destroyed           stop requested             deadline passed
//   Handle              may be applied, or not     kUnknown                   kUnknown; kNoLeader while it waits for a
//                                                                             leader (Forward)
//   ChangeConfig        aborted while new voters   kChangeAborted while new   kTooSlowToCatchUp while new voters
//                       catch up; else continues   voters catch up; else      catch up; else kUnknown
//                                                  kUnknown
//   AbortConfigChange   still carried out          kUnknown                   no effect: it ends at once on the reactor
//   TransferLeadership  the transfer continues     kUnknown; the transfer     ends the transfer: kTransferFailed, or
//                                                  continues                  kUnknown if no leader is known
//   Done                no effect on the node      ignored                    ignored
//   Next                no event is lost           ignored                    ignored
//
// When the node stops, every call ends: with kUnknown if it may be in the log, otherwise with kStopped or kNotLeader.
class Call {
 public:
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Resumes through `executor` instead of that of the options. For adapters (asio.h); before the call is awaited.
  void ResumeOn(Executor& executor) { options_.On(executor); }

  bool await_ready() const noexcept { return false; }
  // False if the call was refused: the caller continues at once.
  bool await_suspend(std::coroutine_handle<> caller);

 protected:
  Call(node::Calls& calls, HandleOptions options) : calls_(calls), options_(std::move(options)) {}
  // Precondition: `other` has not been awaited, so it has no slot.
  Call(Call&& other) noexcept : calls_(other.calls_), options_(std::move(other.options_)), commands_(other.commands_) {}
  ~Call();
  friend class node::Calls;

  // Ends the call and returns its error, if any. On success the results stay in the slot, if there is one, until
  // `Release`.
  Error Finish();
  void Release();

  struct OnStopRequest {
    node::CallSlot* slot;
    uint32_t generation;
    void operator()() const noexcept;
  };

  node::Calls& calls_;
  uint32_t generation_ = 0;
  node::CallSlot* slot_ = nullptr;  // ours from await_suspend to Release
  HandleOptions options_;
  Error refused_;  // when there is no slot
  std::span<const Command> commands_;
  std::optional<std::stop_callback<OnStopRequest>> on_stop_;
};

// `Raft::Handle` of one command.
class [[nodiscard]] HandleOneCall : public Call {
 public:
  HandleOneCall(node::Calls& calls, Command command, HandleOptions options)
      : Call(calls, std::move(options)), command_(command) {
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

// `Raft::Handle` of several commands. The span, and the bytes of its commands, must live until the call is awaited.
class [[nodiscard]] HandleManyCall : public Call {
 public:
  HandleManyCall(node::Calls& calls, std::span<const Command> commands, HandleOptions options)
      : Call(calls, std::move(options)) {
    commands_ = commands;
  }
  bool await_ready() const noexcept { return commands_.empty(); }  // no commands: success at once
  // The state machine's results, one per command, in the order of the commands.
  Result<std::vector<Bytes>> await_resume();
};

// `Raft::ChangeConfig`. Owns the change.
class [[nodiscard]] ChangeConfigCall : public Call {
 public:
  ChangeConfigCall(node::Calls& calls, ConfigChange change, HandleOptions options)
      : Call(calls, std::move(options)), change_(std::move(change)) {}
  bool await_ready() const noexcept { return change_.empty(); }  // no steps change nothing: success at once
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();

 private:
  ConfigChange change_;
};

// `Raft::AbortConfigChange`.
class [[nodiscard]] AbortConfigChangeCall : public Call {
 public:
  AbortConfigChangeCall(node::Calls& calls, HandleOptions options) : Call(calls, std::move(options)) {}
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();
};

// `Raft::TransferLeadership`.
class [[nodiscard]] TransferLeadershipCall : public Call {
 public:
  TransferLeadershipCall(node::Calls& calls, NodeId to, HandleOptions options)
      : Call(calls, std::move(options)), to_(to) {}
  bool await_suspend(std::coroutine_handle<> caller);
  Result<void> await_resume();

 private:
  NodeId to_;
};

// `Raft::Done`.
class [[nodiscard]] DoneCall : public Call {
 public:
  explicit DoneCall(node::Calls& calls, HandleOptions options) : Call(calls, std::move(options)) {}
  bool await_suspend(std::coroutine_handle<> caller);
  // Success after `Stop`; otherwise the reason why the node stopped by itself (a failed disk, for instance).
  Result<void> await_resume();
};

// `EventStream::Next`.
class [[nodiscard]] NextEventCall : public Call {
 public:
  NextEventCall(node::Calls& calls, std::shared_ptr<node::EventQueue> queue, HandleOptions options)
      : Call(calls, std::move(options)), queue_(std::move(queue)) {}
  bool await_ready() const noexcept;  // true if an event waits, or the stream has ended
  bool await_suspend(std::coroutine_handle<> caller);
  Result<Event> await_resume();

 private:
  std::shared_ptr<node::EventQueue> queue_;
};

// The events of a node from the stream's creation on, in order (Raft::Events). One thread at a time. It must not
// outlive its Raft. It may be destroyed while its `Next` waits, which then ends with the node's next event, or when the
// node stops.
class EventStream {
 public:
  EventStream(node::Calls& calls, std::shared_ptr<node::EventQueue> queue)
      : calls_(&calls), queue_(std::move(queue)) {}
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept;
  ~EventStream();

  // Waits for the next event. At most one `Next` may wait at a time. The queue holds 1024 events; when it is full the
  // oldest is dropped, and the event that follows it says how many were (Event::lost). Of the options only the executor
  // is used. Errors: kStopped after the last event (EventKind::kStopped); kBusy (Limits::max_waiting_calls);
  // kInvalidArgument for a `Next` that waits when another one is awaited.
  NextEventCall Next(HandleOptions options = HandleOptions()) {
    return NextEventCall(*calls_, queue_, std::move(options));
  }

 private:
  void Close();

  node::Calls* calls_;
  std::shared_ptr<node::EventQueue> queue_;
};

// One member of a Raft group. All members are thread-safe, except the destructor.
class Raft {
 public:
  // Validates the options, opens the storage and checks that it is this node's; blocks while it reads. Does not use the
  // network. `state_machine` must outlive the node. Errors: kInvalidArgument, kWrongNode, kWrongCluster, kWrongVersion,
  // kDuplicateNode, kLocked, kCorrupt, kFull, kIo.
  static Result<std::unique_ptr<Raft>> Create(Options options, StateMachine& state_machine);
  static Result<std::unique_ptr<Raft>> Create(Options options, AsyncStateMachine& state_machine);
  // Stops the node if it still runs, without transferring leadership, and blocks until it has stopped; calls end as
  // they do at a stop. In a turn of its reactor (a caller that was resumed inline, for instance) only after `Done` has
  // completed.
  ~Raft();

  NodeId Id() const;
  const ringraft::Addr& Addr() const;

  // Starts the node on the reactor and returns; once it returns, the node listens on its address: on each, if a name
  // has several. A name is resolved first, which blocks for at most 10 s. The node must have stopped before the reactor
  // is destroyed. Errors: kRanRepeatedly, kStopped; kIo and kInvalidArgument from listening, after which `Run` may be
  // retried (a look-up that has begun continues, and the next `Run` uses its answer).
  Result<void> Run(Reactor& reactor);
  // Begins to stop the node, and returns; await `Done` for the end. A leader first transfers leadership to the most
  // suitable reachable voter (TransferLeadership), which takes at most the longest election timeout; calls that are
  // awaited meanwhile end with kStopped. Then every other call ends, as described at `Call`. Idempotent.
  void Stop();
  // `co_await raft.Done()` completes once the node has stopped, after all other calls. Of the options only the executor
  // is used. Errors: the reason if the node stopped by itself; kBusy (Limits::max_waiting_calls). See `Call` about
  // cancelling.
  DoneCall Done(HandleOptions options = HandleOptions()) { return DoneCall(calls_, std::move(options)); }

  // Both as of the end of the reactor's last turn; another node may be leader already.
  bool IsLeader() const;
  RaftStatus Status() const;

  // A stream of the changes of leadership, members and health from now on. A caller that opens the stream first and
  // then reads `Status` misses none.
  EventStream Events();

  // Appends the command to the log, replicates, commits and applies it, and returns the state machine's result for it.
  // The bytes are copied when the call is awaited, before the caller is suspended. Errors: kNotLeader, kBusy,
  // kTooLarge, kStopped, and kNoLeader with Forward: the command is certainly not in the log; kUnknown: it may be
  // applied, now or later, or never. See `Call` about cancelling.
  HandleOneCall Handle(Command command, HandleOptions options = HandleOptions()) {
    return HandleOneCall(calls_, command, std::move(options));
  }
  // The same for several commands as one append: all or none, next to each other in the log. The span must live until
  // the call is awaited.
  HandleManyCall Handle(std::span<const Command> commands, HandleOptions options = HandleOptions()) {
    return HandleManyCall(calls_, commands, std::move(options));
  }
  // Adds, removes, promotes and demotes any number of members in one change (joint consensus, dissertation §4.3).
  // Success once C(new) is committed; at once for a change without steps. Leader only.
  //
  // New voters first receive the log, as non-members (§4.2.1): in at most 10 rounds, the last of them shorter than the
  // shortest election timeout. Only then does the change enter the log; until then, ending the call aborts the change
  // (see `Call`). A leader that the change removes or demotes remains leader until C(new) is committed, and then
  // transfers leadership.
  //
  // Errors after which nothing has changed: kNotLeader, kBusy, kStopped, kConfigInProgress, kConfigChanged,
  // kTransferInProgress, kTooSlowToCatchUp, kChangeAborted, kAlreadyMember, kNotMember, kEmptyConfig, kInvalidArgument,
  // kNoQuorum. kUnknown: the change may take effect, or not.
  ChangeConfigCall ChangeConfig(ConfigChange change, HandleOptions options = HandleOptions()) {
    return ChangeConfigCall(calls_, std::move(change), std::move(options));
  }
  // The same for voters to add and members to remove.
  ChangeConfigCall ChangeConfig(std::vector<Peer> added, std::vector<NodeId> removed,
                                HandleOptions options = HandleOptions()) {
    ConfigChange change;
    for (Peer& peer : added) change.AddVoter(std::move(peer));
    for (NodeId id : removed) change.Remove(id);
    return ChangeConfigCall(calls_, std::move(change), std::move(options));
  }
  // Aborts the change that waits for its new voters to catch up: the call that requested it, on any client, ends with
  // kChangeAborted. Success also if no change is in progress. Leader only. Errors: kNotLeader, kBusy, kStopped,
  // kUnknown; kConfigInProgress if the change is in the log already and only another change can revert it.
  AbortConfigChangeCall AbortConfigChange(HandleOptions options = HandleOptions()) {
    return AbortConfigChangeCall(calls_, std::move(options));
  }

  // Transfers leadership to a voter (dissertation §3.10). With `to` 0 to the most suitable reachable one: not lagging,
  // of the highest priority, with most of the log, in this order. Success once that node is known to be leader.
  // Meanwhile commands wait. If it does not take over within the longest election timeout, or before the deadline, this
  // node remains leader. Leader only. Errors: kNotLeader, kBusy, kStopped, kTransferInProgress, kTransferFailed,
  // kInvalidArgument (`to` is this node, a witness, or not a voter); kUnknown if this node does not learn which node is
  // leader before the deadline, or without one within four times the longest election timeout.
  TransferLeadershipCall TransferLeadership(NodeId to = NodeId(0), HandleOptions options = HandleOptions()) {
    return TransferLeadershipCall(calls_, to, std::move(options));
  }

  // For the library's own parts.
  node::Node& node() { return *node_; }

 private:
  explicit Raft(std::unique_ptr<node::Node> node);
  std::unique_ptr<node::Node> node_;
  node::Calls& calls_;  // the node's
};

}  // namespace ringraft
