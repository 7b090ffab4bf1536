// The calls of this node, from a caller's thread to the reactor and to their end. Owned by the node.
//
//   any thread:  Begin... -> a slot, posted to the reactor's mailbox (on the reactor commands take the short way)
//   reactor:     OnCallArrived -> commands: the proposer, or the forwarder; orders to the leader: LeaderCalls
//                ... -> the end: CallSlot::Complete, or EndCall with an error
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "core/core.h"
#include "node/call_ender.h"
#include "node/call_slot.h"
#include "node/deadlines.h"
#include "node/events.h"
#include "node/forwarder.h"
#include "node/leader_calls.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/proposer.h"
#include "node/stop_latch.h"
#include "reactor/host.h"
#include "ringraft/options.h"
#include "ringraft/raft.h"

namespace ringraft::node {

class Calls final : public CallEnder {
 public:
  Calls(const Options& options, StopLatch& stopped);
  ~Calls();
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  // --- any thread ---
  // Where the calls run. Before the message that starts the node on the reactor is posted: `Start` uses it there.
  void SetHost(reactor::Host& host) { host_ = &host; }
  // Calls are taken from `Open` to `Close`. After that message: a call that sees them open arrives after it.
  void Open() { slots_->OpenPosts(); }
  void Close() { slots_->ClosePosts(); }
  bool is_open() const { return slots_->accepts_posts(); }
  size_t in_use() const { return slots_->in_use(); }
  bool HasPosts() const { return slots_->HasPosts(); }  // calls on their way to the reactor
  reactor::Mailbox& mailbox() { return host_->mailbox(); }

  // A call begins: false if it has ended already (with `refused_`, which is kOk for success).
  bool Begin(Call& call, std::coroutine_handle<> caller);
  bool BeginConfig(Call& call, ConfigChange change, std::coroutine_handle<> caller);
  bool BeginAbortConfig(Call& call, std::coroutine_handle<> caller);
  bool BeginTransfer(Call& call, NodeId to, std::coroutine_handle<> caller);
  bool BeginDone(Call& call, std::coroutine_handle<> caller);
  bool BeginNextEvent(Call& call, EventQueue& queue, std::coroutine_handle<> caller);

  // --- reactor ---
  struct Parts {
    core::Core& core;
    Proposer& proposer;
    Forwarder& forwarder;
    NodeControl& control;
    const NodeLogger& log;
  };
  // Before any call arrives.
  void Start(const Parts& parts);
  void OnLeadershipLost();
  void OnStop();
  // No call waits or can arrive any more.
  void Finish();

  void OnCallArrived(CallSlot& slot);
  void OnCancel(CallSlot& slot, uint32_t generation);
  void EndCall(CallSlot& slot, uint32_t generation, Error error) override;
  LeaderCalls& leader_calls() { return *leader_calls_; }
  // The leader and its address, as far as known.
  std::optional<Peer> Leader() const;

 private:
  enum class Route { kProposer, kForwarder };

  static bool Refuse(Call& call, Error error);
  Result<size_t> EncodedSize(std::span<const Command> commands) const;
  CallSlot* NewCall(Call& call, std::coroutine_handle<> caller);
  CallSlot* NewLeaderCall(Call& call, CallKind kind, std::coroutine_handle<> caller);
  bool Post(Call& call, CallSlot& slot);
  static void WatchStopRequest(Call& call);
  bool IsOnReactor() const;
  Result<Route> RouteFor(size_t bytes, bool is_forwardable) const;
  void Enter(CallSlot& slot, Route route);
  void OnDeadline(CallSlot& slot);

  const Options& options_;
  StopLatch& stopped_;
  SlotPool* const slots_;  // outlives this until the last slot has come back
  reactor::Host* host_ = nullptr;

  // --- reactor ---
  std::optional<Parts> parts_;
  std::unique_ptr<Deadlines> deadlines_;
  std::unique_ptr<LeaderCalls> leader_calls_;
};

}  // namespace ringraft::node
