// Serves the requests of peers: passes them to the core, waits for the disk where the reply depends on it, and replies.
// Reactor only; owned by the node.
#pragma once

#include "core/core.h"
#include "coro/loop.h"
#include "node/bootstrap.h"
#include "node/calls.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/operator_service.h"
#include "node/peer_verifier.h"
#include "node/storage_driver.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"

namespace ringraft::node {

class PeerService final : public RpcService {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    StorageDriver& storage;
    PeerVerifier& peers;
    const node::Bootstrap& bootstrap;
    Calls& calls;
    OperatorService& operators;
    NodeControl& control;
    const NodeLogger& log;
  };
  explicit PeerService(const Parts& parts);

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override;
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override;
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override;
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) override;
  Result<void> OnHandshake(const Identity& peer) override;
  Result<void> OnCall(const Identity& peer) override { return peers_.Verify(peer); }
  Result<AdminService*> Admin(std::optional<GroupId> group) override { return operators_.Admit(group); }

 private:
  Task<void> ForwardOne(const ForwardCall& call, TimePoint deadline, ForwardOutcome& outcome);

  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  StorageDriver& storage_;
  PeerVerifier& peers_;
  const node::Bootstrap& bootstrap_;
  Calls& calls_;
  OperatorService& operators_;
  NodeControl& control_;
  const NodeLogger& log_;
};

}  // namespace ringraft::node
