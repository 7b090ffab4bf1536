// Serves the requests of operators by the same calls that an embedder would make. Reactor only; owned by the node.
#pragma once

#include <optional>
#include <string>

#include "coro/loop.h"
#include "node/calls.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/peer_verifier.h"
#include "node/published_status.h"
#include "ringraft/admin.h"
#include "ringraft/raft.h"

namespace ringraft::node {

class OperatorService final : public AdminService {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    Calls& calls;
    const PeerVerifier& peers;
    const PublishedStatus& status;
    const NodeControl& control;
    const NodeLogger& log;
  };
  explicit OperatorService(const Parts& parts);

  // Admits an operator that names this node's group, or none. Errors: kStopped, kInvalidArgument.
  Result<AdminService*> Admit(std::optional<GroupId> group);

  Result<AdminStatus> Status() override;
  Task<Result<void>> ChangeConfig(ConfigChange change, Duration timeout) override;
  Task<Result<void>> AbortConfigChange() override;
  Task<Result<void>> TransferLeadership(NodeId to, Duration timeout) override;

 private:
  Result<void> CheckRunning() const;
  HandleOptions Within(Duration timeout) const;
  void LogOrder(const std::string& order) const;

  const Options& options_;
  coro::Loop& loop_;
  Calls& calls_;
  const PeerVerifier& peers_;
  const PublishedStatus& status_;
  const NodeControl& control_;
  const NodeLogger& log_;
};

}  // namespace ringraft::node
