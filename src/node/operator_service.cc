#include "node/operator_service.h"

#include <algorithm>

#include "base/format.h"
#include "base/try.h"

namespace ringraft::node {
namespace {

// The timeout comes from the operator and may not fit this node's clock.
constexpr Duration kLongest = std::chrono::hours(24);
constexpr Duration kAbortTimeout = std::chrono::seconds(5);  // it ends at once

}  // namespace

OperatorService::OperatorService(const Parts& parts)
    : options_(parts.options),
      loop_(parts.loop),
      calls_(parts.calls),
      peers_(parts.peers),
      status_(parts.status),
      control_(parts.control),
      log_(parts.log) {}

Result<void> OperatorService::CheckRunning() const {
  if (!control_.is_stopping()) return Success();
  return Error(Errc::kStopped, fmt::format("{} is stopping; try another node", log_.name()));
}

HandleOptions OperatorService::Within(Duration timeout) const {
  return HandleOptions().Deadline(loop_.Now() + std::clamp(timeout, Duration::zero(), kLongest));
}

// Only on the leader: other nodes redirect the operator.
void OperatorService::LogOrder(const std::string& order) const {
  if (!status_.is_leader()) return;
  log_.Info(fmt::format("operator request: {}", order));
}

Result<AdminService*> OperatorService::Admit(std::optional<GroupId> group) {
  RINGRAFT_TRYV(CheckRunning());
  const GroupId ours = options_.group;
  if (group.value_or(ours) != ours) {
    return Error(Errc::kInvalidArgument, fmt::format("{} is a member of group {}, not of group {}; correct the group",
                                                     log_.name(), ours, *group));
  }
  return this;
}

Result<AdminStatus> OperatorService::Status() {
  RINGRAFT_TRYV(CheckRunning());
  AdminStatus status;
  status.identity = peers_.self();
  status.group = options_.group;
  status.raft = status_.Get();
  return status;
}

Task<Result<void>> OperatorService::ChangeConfig(ConfigChange change, Duration timeout) {
  RINGRAFT_CO_TRYV(CheckRunning());
  LogOrder(fmt::format("membership change, {} step(s)", change.steps().size()));
  ChangeConfigCall call(calls_, std::move(change), Within(timeout));
  Result<void> done = co_await call;
  co_return done;
}

Task<Result<void>> OperatorService::AbortConfigChange() {
  RINGRAFT_CO_TRYV(CheckRunning());
  LogOrder("abort the membership change");
  AbortConfigChangeCall call(calls_, Within(kAbortTimeout));
  Result<void> done = co_await call;
  co_return done;
}

Task<Result<void>> OperatorService::TransferLeadership(NodeId to, Duration timeout) {
  RINGRAFT_CO_TRYV(CheckRunning());
  LogOrder(to ? fmt::format("transfer leadership to node {}", to) : "transfer leadership");
  TransferLeadershipCall call(calls_, to, Within(timeout));
  Result<void> done = co_await call;
  co_return done;
}

}  // namespace ringraft::node
