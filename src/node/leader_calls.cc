#include "node/leader_calls.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/format.h"

namespace ringraft::node {
namespace {

constexpr int kTransferWaits = 4;  // longest election timeouts

}  // namespace

LeaderCalls::LeaderCalls(const Parts& parts)
    : options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      deadlines_(parts.deadlines),
      calls_(parts.calls),
      control_(parts.control),
      log_(parts.log) {}

void LeaderCalls::Dispatch(CallSlot& slot, uint32_t generation) {
  switch (slot.kind) {
    case CallKind::kCommands:
      RINGRAFT_ASSERT(!"commands are not for LeaderCalls");
      return;
    case CallKind::kChangeConfig:
      return ChangeConfig(slot, generation);
    case CallKind::kAbortConfig:
      return AbortConfig(slot, generation);
    case CallKind::kTransfer:
      return Transfer(slot, generation);
  }
}

void LeaderCalls::ChangeConfig(CallSlot& slot, uint32_t generation) {
  // To the core, new members were in contact at its present time, which has to be that of the loop: the core of an idle
  // leader may have an older one by more than an election timeout, and would miss a majority at once.
  core_.OnTick(loop_.Now());
  if (!core_.is_leader()) return calls_.EndCall(slot, generation, Errc::kNotLeader);
  Result<core::ConfigTicket> ticket = core_.ProposeConfig(*slot.config);
  if (!ticket) return calls_.EndCall(slot, generation, ticket.error());
  slot.is_out = true;
  config_calls_.push_back(ConfigCall{&slot, generation, ticket.value()});
  control_.Touch();
}

void LeaderCalls::AbortConfig(CallSlot& slot, uint32_t generation) {
  Result<void> aborted =
      core_.AbortConfig(Error(Errc::kChangeAborted,
                              "the change was aborted by another call while its new voters caught up: nothing has "
                              "changed; repeat it if it is still wanted"));
  if (!aborted) return calls_.EndCall(slot, generation, aborted.error());
  control_.Touch();
  slot.Complete(generation);
}

void LeaderCalls::Transfer(CallSlot& slot, uint32_t generation) {
  CheckTransfer();  // an earlier one may have ended in this turn
  if (!core_.is_leader()) return calls_.EndCall(slot, generation, Errc::kNotLeader);
  const TimePoint now = loop_.Now();
  const NodeId to = slot.transfer_to ? slot.transfer_to : core_.BestSuccessor(now);
  if (!to)
    return calls_.EndCall(
        slot, generation,
        Error(Errc::kTransferFailed,
              "no reachable voting member may lead: start one, or check the network between it and this leader"));
  Result<void> begun = core_.TransferLeadership(now, to, std::min(slot.deadline, now + options_.election_timeout_max));
  if (!begun) return calls_.EndCall(slot, generation, begun.error());
  log_.Info(fmt::format("transfers leadership to node {}", to));
  slot.is_out = true;
  if (slot.deadline == TimePoint::max()) {  // a node that is cut off would wait forever
    slot.deadline = now + kTransferWaits * options_.election_timeout_max;
    deadlines_.Add(slot);
  }
  transfer_call_ = TransferCall{&slot, generation, to};
  control_.Touch();
}

bool LeaderCalls::EndCatchUp(CallSlot& slot, uint32_t generation, const Error& why) {
  if (slot.kind != CallKind::kChangeConfig) return false;
  for (const ConfigCall& call : config_calls_) {
    if (call.slot != &slot || call.generation != generation) continue;
    if (core_.CheckConfig(call.ticket) != core::ConfigProgress::kCatchingUp) return false;
    const Result<void> aborted = core_.AbortConfig(why);
    RINGRAFT_ASSERT(aborted.has_value());
    CheckConfig();
    control_.Touch();
    return true;
  }
  return false;
}

void LeaderCalls::CheckConfig() {
  for (size_t i = 0; i < config_calls_.size();) {
    ConfigCall call = config_calls_[i];
    core::ConfigProgress progress = core_.CheckConfig(call.ticket);
    const bool is_over = !call.slot->IsAwaited(call.generation);
    if (progress == core::ConfigProgress::kCatchingUp && is_over) {
      // No caller waits for it, and it has not begun.
      const Result<void> aborted =
          core_.AbortConfig(Error(Errc::kChangeAborted,
                                  "the caller of the change was destroyed while its new voters caught up: nothing has "
                                  "changed; repeat it if it is still wanted"));
      RINGRAFT_ASSERT(aborted.has_value());
      progress = core::ConfigProgress::kRefused;
    }
    if (progress == core::ConfigProgress::kPending || progress == core::ConfigProgress::kCatchingUp) {
      ++i;
      continue;
    }
    config_calls_.erase(config_calls_.begin() + static_cast<ptrdiff_t>(i));
    if (progress == core::ConfigProgress::kDone) {
      call.slot->Complete(call.generation);
    } else {
      calls_.EndCall(*call.slot, call.generation,
                     progress == core::ConfigProgress::kRefused ? call.ticket->refusal : Error(Errc::kUnknown));
    }
  }
}

void LeaderCalls::CheckTransfer() {
  if (!transfer_call_ || (core_.is_leader() && core_.IsTransferring())) return;
  if (!core_.is_leader() && !core_.leader()) return;  // cancelled by a step-down; the next leader is not known yet
  const TransferCall call = *std::exchange(transfer_call_, std::nullopt);
  if (core_.leader() == call.to) {
    call.slot->Complete(call.generation);
    return;
  }
  calls_.EndCall(
      *call.slot, call.generation,
      Error(Errc::kTransferFailed,
            core_.is_leader()
                ? fmt::format("node {} did not take the leadership over in time; this node remains leader: check that "
                              "the other one runs, has caught up, and has a disk that is not stalled ('status')",
                              call.to)
                : fmt::format("the leadership went to node {}, not to node {}", core_.leader(), call.to)));
}

void LeaderCalls::OnLeadershipLost() {
  std::vector<ConfigCall> calls;
  calls.swap(config_calls_);
  for (const ConfigCall& call : calls) calls_.EndCall(*call.slot, call.generation, Errc::kUnknown);
}

void LeaderCalls::OnStop() {
  std::vector<ConfigCall> calls;
  calls.swap(config_calls_);
  for (const ConfigCall& call : calls) {
    const bool has_begun = core_.CheckConfig(call.ticket) != core::ConfigProgress::kCatchingUp;
    calls_.EndCall(*call.slot, call.generation, has_begun ? Errc::kUnknown : Errc::kStopped);
  }
  if (transfer_call_) calls_.EndCall(*transfer_call_->slot, transfer_call_->generation, Errc::kUnknown);
  transfer_call_.reset();
}

}  // namespace ringraft::node
