// Calls of a node that does not lead, on their way to the leader: all that wait go in one message. Reactor only.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <vector>

#include "coro/signal.h"
#include "node/call_slot.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Node;

class Forwarder {
 public:
  explicit Forwarder(Node& node);

  // Room for a call of so many bytes? kBusy otherwise.
  Result<void> Check(size_t bytes);
  // The call's commands are encoded in its slot. Never ends the call at once.
  void Add(CallSlot& slot);
  void Wake() { work_.Notify(); }  // the leader may be another now
  void OnStop();
  size_t waiting() const { return waiting_.size(); }

  Task<void> Run();

 private:
  struct Waiting {
    CallSlot* slot;
    uint32_t generation;
  };
  static constexpr size_t kMessageBytes = size_t{1} << 20;  // about as much in one message, at least one call
  static constexpr size_t kMessages = 4;                    // in flight

  void GiveToProposer();
  void DropEnded();
  using Message = std::vector<Waiting>;
  Task<void> Send(Peer leader, std::list<Message>::iterator message, ForwardArgs args);
  void PauseWith(NodeId leader);
  void Settle(const Waiting& call, NodeId leader, ForwardOutcome& outcome);
  void Retry(const Waiting& call);

  Node& node_;
  coro::Signal work_;
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
  NodeId refused_by_;            // the leader that did not take a message last
  TimePoint retry_at_;           // not asked again before: the next leader may not be known yet
  std::list<Message> messages_;  // in flight; here, not in their coroutines, so that a stop can end their calls
  TimePoint sweep_at_;           // the queue is not searched for ended calls before
};

}  // namespace ringraft::node
