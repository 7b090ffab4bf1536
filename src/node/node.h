// One member of a Raft group on a reactor: owns the core, the storage, the transport and the coroutines that connect
// them.
//
// Threads: the members under "any thread" say so; everything else runs in turns of the reactor. All decisions are the
// core's. What the core wants done is taken up once a turn, in OnTurnEnd, so that everything that has gathered becomes
// one batch, one write and one message a peer.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/core.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "node/applier.h"
#include "node/call_slot.h"
#include "node/deadlines.h"
#include "node/events.h"
#include "node/forwarder.h"
#include "node/identity.h"
#include "node/leadership.h"
#include "node/proposer.h"
#include "node/service.h"
#include "reactor/host.h"
#include "ringraft/options.h"
#include "ringraft/raft.h"
#include "ringraft/rpc.h"
#include "ringraft/state_machine.h"
#include "ringraft/status.h"
#include "storage/commit_queue.h"

namespace ringraft::node {

class Node final : private coro::TurnEndNode {
 public:
  // One of the two machines is given. `storage` has been recovered and belongs to this node.
  struct Parts {
    std::shared_ptr<Storage> storage;
    RecoveredLog recovered;
    Claim claim;
    StateMachine* machine = nullptr;
    AsyncStateMachine* async_machine = nullptr;
  };
  Node(Options options, Parts parts);
  ~Node();

  // --- any thread ---
  const Options& options() const { return options_; }
  Result<void> Run(Reactor& reactor);
  // A leader hands its leadership over first, for at most the longest election time-out.
  void Stop();
  bool IsLeader() const { return is_leader_.load(std::memory_order_acquire); }
  RaftStatus Status() const;
  // Blocks until the node has stopped, driving the reactor if nobody else does. Hands nothing over, and ends a
  // hand-over that has begun.
  void WaitStopped();

  // A call begins: false if it has ended already (with `refused_`, which is kOk for success).
  bool Begin(Call& call, std::coroutine_handle<> caller);
  bool BeginConfig(Call& call, ConfigChange change, std::coroutine_handle<> caller);
  bool BeginAbortConfig(Call& call, std::coroutine_handle<> caller);
  bool BeginTransfer(Call& call, NodeId to, std::coroutine_handle<> caller);
  bool BeginDone(Call& call, std::coroutine_handle<> caller);
  bool BeginNextEvent(Call& call, EventQueue& queue, std::coroutine_handle<> caller);
  Events& events() { return events_; }
  bool IsRunning() const { return life_.load(std::memory_order_acquire) == Life::kRunning; }
  void EndPost() { slots_->EndPost(); }  // see SlotPool
  reactor::Mailbox& mailbox() { return host_->mailbox(); }

  // --- reactor ---
  void OnCallArrived(CallSlot& slot);
  void OnDeadline(CallSlot& slot);
  void OnCancel(CallSlot& slot, uint32_t generation);
  // Ends a call with an error. One that may be forwarded and is certainly not in the log is forwarded instead.
  void EndCall(CallSlot& slot, uint32_t generation, Error error);

  // Something has been told to the core: look at it at the end of the turn.
  void Touch() { loop().AtTurnEnd(*this); }
  // The node cannot go on: a failed disk, a broken log. Stops it and remembers why.
  void Fail(Error error);
  // A message of calls to the leader is on its way.
  void StartForwarding(Task<void> message) { scope_->Start(std::move(message)); }

  coro::Loop& loop() { return host_->loop(); }
  reactor::Host& host() { return *host_; }
  core::Core& core() { return *core_; }
  Rpc& rpc() { return *rpc_; }
  Logger& logger() { return *logger_; }
  Proposer& proposer() { return *proposer_; }
  const Limits& limits() const { return options_.limits; }
  Identity identity() const { return identity_; }
  Result<void> LearnCluster(ClusterId cluster);
  // Errors: kOldGeneration; kDuplicateNode, if it is not who it was, or claims to be us.
  Result<void> MeetPeer(const Identity& peer);
  // Errors: kOldGeneration.
  Result<void> CheckGeneration(NodeId peer, const Generation& generation) const;
  // Of a leader whose entries have been accepted, in the same turn: who had no log takes its generation over with them.
  void FollowGeneration(const Generation& generation);
  const std::string& written_members() const { return written_members_; }
  std::string Name() const;  // "node 1"
  bool is_stopping() const { return is_stopping_; }
  bool has_started() const { return core_ != nullptr; }
  size_t calls_in_use() const { return slots_->in_use(); }

  // Completes when the write of this number is on disk; never if the disk fails (the node then stops).
  Task<void> Durable(core::WriteNumber number);
  // Reads batches off the reactor.
  Task<Result<std::vector<BatchRef>>> ReadLog(Index from, size_t max_bytes);

 private:
  // Elections: waits for the core's next tick, and runs the rounds of votes that come of it (elector.cc).
  Task<void> RunElections();
  void StartVoteRounds();
  Task<void> RunVoteRound(core::VoteRound round);
  Task<void> AskForVote(Peer peer, RequestVoteArgs args, core::VoteTicket ticket);

  // Before the elections: looks whether it may be who it is, and begins a cluster from a fixed list (forming.cc).
  Task<void> Begin();
  Task<void> FindDuplicate();
  Task<void> RefuseDirectory(std::string why);
  Task<void> Announce();
  Task<void> AskAll(std::vector<Peer> members, std::map<NodeId, BootstrapResults>& answers);
  Task<void> AskPeer(Peer peer, std::map<NodeId, BootstrapResults>& answers);
  Task<void> BootstrapFromList();
  Task<void> WriteMembers(std::string members);
  enum class Agreement { kWait, kWrite, kBootstrapped };
  Agreement Compare(const std::map<NodeId, BootstrapResults>& answers);
  std::string ListWithDirectories(const std::map<NodeId, BootstrapResults>& answers) const;
  void TellOnce(LogLevel level, const std::string& message);

  void OnTurnEnd() override;
  void StartOnReactor();
  void SubmitWrites();
  void OnPersisted(core::WriteNumber number, Result<void> result);
  void FollowRole();
  Duration DiskStallLimit() const;
  void FollowDisk();
  void FollowHandOver();
  void EndLeadersCalls();
  void CheckConfigCalls();
  void CheckTransferCall();
  void PublishStatus();
  int64_t WallNanoseconds() const;

  bool Refuse(Call& call, Error error) const;
  CallSlot* NewCall(Call& call, std::coroutine_handle<> caller);
  CallSlot* NewLeadersCall(Call& call, CallKind kind, std::coroutine_handle<> caller);
  bool HandOver(Call& call, CallSlot& slot);
  Error CheckSize(std::span<const Command> commands, size_t& bytes) const;
  bool OnReactor() const;
  void Dispatch(CallSlot& slot, uint32_t generation);
  void DispatchConfig(CallSlot& slot, uint32_t generation);
  void DispatchAbortConfig(CallSlot& slot, uint32_t generation);
  void DispatchTransfer(CallSlot& slot, uint32_t generation);
  bool EndCatchUp(CallSlot& slot, uint32_t generation, const Error& why);
  std::optional<Peer> Leader() const;

  struct StartMessage final : reactor::MailboxNode {
    explicit StartMessage(Node& of) : node(of) {}
    void OnDelivered() override { node.StartOnReactor(); }
    Node& node;
  };
  struct StopMessage final : reactor::MailboxNode {
    explicit StopMessage(Node& of) : node(of) {}
    void OnDelivered() override { node.OnStopAsked(); }
    Node& node;
  };
  struct StopAtOnceMessage final : reactor::MailboxNode {
    explicit StopAtOnceMessage(Node& of) : node(of) {}
    void OnDelivered() override { node.BeginStop(); }
    Node& node;
  };
  void StopAtOnce();
  void OnStopAsked();
  bool BeginHandOver();
  Task<void> AwaitSuccessor(TimePoint deadline);
  void BeginStop();
  Task<void> Shutdown();
  void FinishStop();

  const Options options_;
  Logger* logger_;
  std::shared_ptr<Storage> storage_;
  RecoveredLog recovered_;  // until the core is made
  Identity identity_;
  std::string written_members_;  // durably; see Claim
  StartCounts starts_;
  StateMachine* machine_;
  AsyncStateMachine* async_machine_;

  // --- any thread ---
  enum class Life : int { kNew, kRunning, kStopping, kStopped };
  std::atomic<Life> life_{Life::kNew};  // written under the mutex until it is kStopping
  std::atomic<bool> is_leader_{false};
  SlotPool* const slots_;
  Events events_;
  Reactor* reactor_ = nullptr;
  StartMessage start_message_{*this};
  StopMessage stop_message_{*this};
  StopAtOnceMessage stop_at_once_message_{*this};
  mutable std::mutex mutex_;  // of what follows
  std::condition_variable stopped_;
  RaftStatus status_;
  bool is_done_ = false;
  bool is_stop_urgent_ = false;  // the message to stop at once is on its way, or no longer needed
  std::vector<std::pair<CallSlot*, uint32_t>> done_calls_;

  // --- reactor ---
  reactor::Host* host_ = nullptr;
  bool is_stopping_ = false;
  Error failure_;
  std::unique_ptr<core::Core> core_;
  std::unique_ptr<Rpc> rpc_;
  std::unique_ptr<storage::CommitQueue> commit_queue_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Proposer> proposer_;
  std::unique_ptr<Deadlines> deadlines_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<coro::Signal> durable_;     // a write has become durable
  std::unique_ptr<coro::Signal> leader_moved_;  // another role, or another leader known
  std::unique_ptr<coro::Signal> tick_moved_;  // the core's next tick is earlier than what the elector waits for
  TimePoint next_tick_;                       // what it waits for
  std::unique_ptr<coro::Scope> scope_;        // elections, applying, forwarding
  std::unique_ptr<Leadership> leadership_;    // exists while this node leads
  std::unique_ptr<coro::Scope> shutdown_;     // the one coroutine that outlives the others
  std::vector<std::pair<std::string, std::string>> values_;  // to be stored along with the next write
  std::string told_;                                         // the last message of the beginning
  bool is_disk_stalled_ = false;
  bool is_yielding_ = false;
  NodeId last_leader_;
  uint64_t last_peers_ = 0;  // core::Core::peers_version
  struct ConfigCall {
    CallSlot* slot;
    uint32_t generation;
    core::ConfigTicket ticket;
  };
  std::vector<ConfigCall> config_calls_;
  struct TransferCall {
    CallSlot* slot;
    uint32_t generation;
    NodeId to;
  };
  std::optional<TransferCall> transfer_call_;
};

}  // namespace ringraft::node
