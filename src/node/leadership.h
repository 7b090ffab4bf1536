// One term of leadership: a replication pipeline and a heartbeat for each peer. Becoming leader creates it; stepping
// down destroys it, and with it every call of that term. Reactor only; owned by the node.
#pragma once

#include <map>
#include <memory>

#include "core/core.h"
#include "coro/loop.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/peer_verifier.h"
#include "node/storage_driver.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Leadership {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    Rpc& rpc;
    StorageDriver& storage;
    const PeerVerifier& peers;
    NodeControl& control;
    const NodeLogger& log;
  };
  Leadership(const Parts& parts, Term term);
  ~Leadership();

  Term term() const { return term_; }
  // The core's replication peers have changed: starts pipelines for new ones and drops those of peers that have left.
  void FollowConfiguration();
  // End of the turn: there may be something to send.
  void Wake();

 private:
  struct Pipeline {
    Pipeline(coro::Loop& loop, Peer peer) : peer(std::move(peer)), progress(loop), scope(loop) {}
    Peer peer;
    coro::Signal progress;
    TimePoint retry_at;  // not before, after a failure
    int heartbeats = 0;  // without a reply
    bool needs_readmission = false;
    coro::Scope scope;  // last: its coroutines use the members above
  };

  Task<void> Replicate(Pipeline& pipeline);
  Task<void> AwaitAppend(Pipeline& pipeline, core::AppendRequest request);
  void OnLostMatch(Pipeline& pipeline, bool is_first);
  void LogReadmission(Pipeline& pipeline);
  Task<void> Heartbeats(Pipeline& pipeline);
  Task<void> AwaitHeartbeat(Pipeline& pipeline, core::AppendRequest request);

  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  Rpc& rpc_;
  StorageDriver& storage_;
  const PeerVerifier& peers_;
  NodeControl& control_;
  const NodeLogger& log_;
  const Term term_;
  std::map<NodeId, std::unique_ptr<Pipeline>> pipelines_;
};

}  // namespace ringraft::node
