// What peers may ask of this node: tells the core, waits for the disk where the reply rests on it, answers. Reactor
// only.
#pragma once

#include "node/admin.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"

namespace ringraft::node {

class Node;

class Service final : public RpcService {
 public:
  explicit Service(Node& node) : node_(node), admin_(node) {}

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override;
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override;
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override;
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) override;
  Result<void> OnHandshake(const Identity& peer) override;
  Result<void> OnCall(const Identity& peer) override;
  Result<AdminService*> Admin(std::optional<GroupId> group) override { return admin_.Admit(group); }

 private:
  Task<void> ForwardOne(const ForwardCall& call, TimePoint deadline, ForwardOutcome& outcome);

  Node& node_;
  node::Admin admin_;
};

}  // namespace ringraft::node
