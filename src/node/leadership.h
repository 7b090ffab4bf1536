// What a leader does for its term: a replication pipeline and a heartbeat for each peer. Becoming leader makes one;
// stepping down destroys it, and with it every call of that term. Reactor only; owned by the node.
#pragma once

#include <map>
#include <memory>

#include "core/core.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Node;

class Leadership {
 public:
  Leadership(Node& node, Term term);
  ~Leadership();

  Term term() const { return term_; }
  // The core replicates to others now: pipelines for new peers, none for those that have left.
  void FollowConfiguration();
  // There may be something to send.
  void Wake();

 private:
  struct Pipeline {
    Pipeline(coro::Loop& loop, Peer peer) : peer(std::move(peer)), progress(loop), scope(loop) {}
    Peer peer;
    coro::Signal progress;
    TimePoint retry_at;      // after a failure: not before
    int heartbeats = 0;      // unanswered
    bool needs_readmission = false;
    coro::Scope scope;       // last: its coroutines use the members above
  };

  Task<void> Replicate(Pipeline& pipeline);
  Task<void> AwaitAppend(Pipeline& pipeline, core::AppendRequest request);
  void OnLostMatch(Pipeline& pipeline, bool is_first);
  void TellOfReadmission(Pipeline& pipeline);
  Task<void> Heartbeats(Pipeline& pipeline);
  Task<void> AwaitHeartbeat(Pipeline& pipeline, core::AppendRequest request);

  Node& node_;
  const Term term_;
  std::map<NodeId, std::unique_ptr<Pipeline>> pipelines_;
};

}  // namespace ringraft::node
