// One member of a Raft group on a reactor: creates the parts that connect the core with the storage, the transport and
// the callers, runs them once a turn, and stops them.
//
// Threads: the members under "any thread" say so; everything else runs in turns of the reactor. All decisions are the
// core's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "core/core.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "node/calls.h"
#include "node/events.h"
#include "node/identity.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/peer_verifier.h"
#include "node/proposer.h"
#include "node/published_status.h"
#include "node/stop_latch.h"
#include "reactor/host.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/state_machine.h"
#include "ringraft/storage.h"

namespace ringraft::node {

class Applier;
class Bootstrap;
class Elector;
class Leadership;
class OperatorService;
class PeerService;
class StorageDriver;

class Node final : private coro::TurnEndNode, private NodeControl {
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
  const Limits& limits() const { return options_.limits; }
  Result<void> Run(Reactor& reactor);
  // A leader transfers its leadership first, for at most the longest election timeout.
  void Stop();
  // Blocks until the node has stopped, driving the reactor if no other thread does. Transfers no leadership, and ends a
  // transfer that `Stop` has begun.
  void WaitStopped();
  bool IsRunning() const { return calls_.is_open(); }
  bool IsLeader() const { return status_.is_leader(); }
  RaftStatus Status() const { return status_.Get(); }
  Calls& calls() { return calls_; }
  Events& events() { return events_; }
  size_t calls_in_use() const { return calls_.in_use(); }

  // --- reactor, for the simulator and tests; all but the first two once it has started ---
  bool has_started() const { return core_ != nullptr; }
  bool is_stopping() const override { return is_stopping_; }
  core::Core& core() { return *core_; }
  Proposer& proposer() { return *proposer_; }
  PeerVerifier& peers() { return *peers_; }
  PeerService& peer_service() { return *peer_service_; }
  OperatorService& operator_service() { return *operator_service_; }

 private:
  void StartOnReactor();
  void StartParts();
  Task<void> StartUp();

  void Touch() override { host_->loop().AtTurnEnd(*this); }
  void OnTurnEnd() override;
  void FollowRole();
  void LogDisk();
  void LogYielding();
  void PublishStatus();

  void Fail(Error error) override;
  void StopAtOnce();
  void OnStopRequested();
  bool MaybeTransferLeadership();
  Task<void> AwaitSuccessor(TimePoint deadline);
  void StopParts();
  Task<void> Shutdown();
  void FinishStop();

  template <void (Node::*kFunction)()>
  struct Message final : reactor::MailboxNode {
    explicit Message(Node& of) : node(of) {}
    void OnDelivered() override { (node.*kFunction)(); }
    Node& node;
  };

  const Options options_;
  const NodeLogger log_;
  Parts parts_;  // until the start: the storage and what it said

  // --- any thread ---
  PublishedStatus status_;
  StopLatch stopped_;
  Calls calls_;
  Events events_;
  Message<&Node::StartOnReactor> start_message_{*this};
  Message<&Node::OnStopRequested> stop_message_{*this};
  Message<&Node::StopParts> stop_at_once_message_{*this};
  std::mutex mutex_;  // of what follows
  enum class Life { kNew, kRunning, kStopping, kStopped };
  Life life_ = Life::kNew;
  Reactor* reactor_ = nullptr;   // Invariant: constant from kRunning on
  bool is_stop_urgent_ = false;  // the message to stop at once is on its way, or no longer needed

  // --- reactor ---
  reactor::Host* host_ = nullptr;
  bool is_stopping_ = false;
  Error failure_;
  std::unique_ptr<core::Core> core_;
  std::unique_ptr<Rpc> rpc_;
  std::unique_ptr<coro::Scope> shutdown_;  // the one coroutine that outlives those of `scope_`
  std::unique_ptr<StorageDriver> storage_;
  std::unique_ptr<PeerVerifier> peers_;
  std::unique_ptr<Proposer> proposer_;
  std::unique_ptr<Forwarder> forwarder_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<Elector> elector_;
  std::unique_ptr<Bootstrap> bootstrap_;
  std::unique_ptr<OperatorService> operator_service_;
  std::unique_ptr<PeerService> peer_service_;
  std::unique_ptr<coro::Signal> leader_moved_;  // another role, or another leader known
  std::unique_ptr<coro::Scope> scope_;          // the coroutines of the parts above
  std::unique_ptr<Leadership> leadership_;      // Invariant: after each turn it exists exactly while this node leads
  bool is_disk_stalled_ = false;
  bool is_yielding_ = false;
  NodeId last_leader_;
  uint64_t last_peers_ = 0;  // core::Core::peers_version
};

}  // namespace ringraft::node
