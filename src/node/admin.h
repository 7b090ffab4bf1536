// What operators may ask of this node: hands it on to the calls that an embedder would make. Reactor only.
#pragma once

#include <optional>
#include <string>

#include "ringraft/admin.h"
#include "ringraft/raft.h"

namespace ringraft::node {

class Node;

class Admin final : public AdminService {
 public:
  explicit Admin(Node& node) : node_(node) {}

  // Lets an operator in who asks for the node of this group. Errors: kStopped, kInvalidArgument.
  Result<AdminService*> Admit(std::optional<GroupId> group);

  Result<AdminStatus> Status() override;
  Task<Result<void>> ChangeConfig(ConfigChange change, Duration timeout) override;
  Task<Result<void>> AbortConfigChange() override;
  Task<Result<void>> TransferLeadership(NodeId to, Duration timeout) override;

 private:
  Result<void> CheckRunning() const;
  HandleOptions Within(Duration timeout) const;
  void Log(const std::string& order) const;

  Node& node_;
};

}  // namespace ringraft::node
