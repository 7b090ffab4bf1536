#include "node/admin.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/try.h"
#include "node/node.h"

namespace ringraft::node {
namespace {

// An operator's word for how long to wait is not trusted to fit our clock.
constexpr Duration kLongest = std::chrono::hours(24);
constexpr Duration kAbortTimeout = std::chrono::seconds(5);  // it is answered at once

}  // namespace

Result<void> Admin::CheckRunning() const {
  if (!node_.is_stopping()) return Success();
  return Error(Errc::kStopped, fmt::format("{} is stopping; ask another node", node_.Name()));
}

HandleOptions Admin::Within(Duration timeout) const {
  return HandleOptions().Deadline(node_.loop().Now() + std::clamp(timeout, Duration::zero(), kLongest));
}

// Only where it counts: a node that does not lead sends the operator on.
void Admin::Log(const std::string& order) const {
  if (!node_.IsLeader()) return;
  node_.logger().Write(LogLevel::kInfo, fmt::format("{}: an operator asks for {}", node_.Name(), order));
}

Result<AdminService*> Admin::Admit(std::optional<GroupId> group) {
  RINGRAFT_TRYV(CheckRunning());
  const GroupId ours = node_.options().group;
  if (group.value_or(ours) != ours) {
    return Error(Errc::kInvalidArgument, fmt::format("{} is a member of group {}, not of group {}; correct the group",
                                                     node_.Name(), ours.value(), group->value()));
  }
  return this;
}

Result<AdminStatus> Admin::Status() {
  RINGRAFT_TRYV(CheckRunning());
  AdminStatus status;
  status.identity = node_.identity();
  status.group = node_.options().group;
  status.raft = node_.Status();
  return status;
}

Task<Result<void>> Admin::ChangeConfig(ConfigChange change, Duration timeout) {
  RINGRAFT_CO_TRYV(CheckRunning());
  Log(fmt::format("a change of the members in {} steps", change.steps().size()));
  ChangeConfigCall call(node_, std::move(change), Within(timeout));
  Result<void> done = co_await call;
  co_return done;
}

Task<Result<void>> Admin::AbortConfigChange() {
  RINGRAFT_CO_TRYV(CheckRunning());
  Log("the end of a change of the members");
  AbortConfigChangeCall call(node_, Within(kAbortTimeout));
  Result<void> done = co_await call;
  co_return done;
}

Task<Result<void>> Admin::TransferLeadership(NodeId to, Duration timeout) {
  RINGRAFT_CO_TRYV(CheckRunning());
  Log(to ? fmt::format("node {} to lead", to.value()) : "another node to lead");
  TransferLeadershipCall call(node_, to, Within(timeout));
  Result<void> done = co_await call;
  co_return done;
}

}  // namespace ringraft::node
