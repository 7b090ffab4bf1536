// Sends the calls of a node that is not the leader to the leader: all that wait go in one message. Reactor only; owned
// by the node.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <vector>

#include "core/core.h"
#include "coro/loop.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "node/call_ender.h"
#include "node/call_slot.h"
#include "node/proposer.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Forwarder {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    Rpc& rpc;
    Proposer& proposer;
    coro::Scope& scope;  // for the messages in flight
    CallEnder& calls;
  };
  explicit Forwarder(const Parts& parts);

  // Returns kBusy if there is no room for a call of `bytes`.
  Result<void> Check(size_t bytes);
  // The call's commands are encoded in its slot. Does not end the call before it returns.
  void Add(CallSlot& slot);
  void Wake() { work_.Notify(); }  // the leader may have changed
  // After the scope has been cancelled: ends all calls, with kUnknown if they are in a message, else with kStopped.
  void OnStop();
  size_t waiting() const { return waiting_.size(); }

  // Never completes.
  Task<void> Run();

 private:
  struct Waiting {
    CallSlot* slot;
    uint32_t generation;
  };
  static constexpr size_t kMessageBytes = size_t{1} << 20;  // about so much in one message, at least one call
  static constexpr size_t kMessages = 4;                    // in flight

  void GiveToProposer();
  void DropEnded();
  using Message = std::vector<Waiting>;
  Task<void> Send(Peer leader, std::list<Message>::iterator message, ForwardArgs args);
  void PauseWith(NodeId leader);
  void Settle(const Waiting& call, NodeId leader, ForwardOutcome& outcome);
  void Retry(const Waiting& call);

  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  Rpc& rpc_;
  Proposer& proposer_;
  coro::Scope& scope_;
  CallEnder& calls_;
  coro::Signal work_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  NodeId refused_by_;            // the leader that refused a message last
  TimePoint retry_at_;           // it gets no other one before: the next leader may not be known yet
  std::list<Message> messages_;  // in flight; here, not in their coroutines, so that a stop can end their calls
  TimePoint sweep_at_;           // the queue is not searched for ended calls before
};

}  // namespace ringraft::node
