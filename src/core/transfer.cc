// Handing leadership over: §3.10.
#include <algorithm>
#include <string>

#include "base/assert.h"
#include "core/state.h"

namespace ringraft::core {

Result<void> Core::TransferLeadership(TimePoint now, NodeId to, TimePoint deadline) {
  State& s = *state_;
  s.See(now);
  Leadership* leading = s.leadership();
  if (leading == nullptr) return s.NotLeader();
  if (leading->transfer)
    return Error(Errc::kTransferInProgress, "the leadership is being handed over to node " +
                                                std::to_string(leading->transfer->to.value()) + " already");
  if (to == s.options.self || !s.configuration().MayLead(to))
    return Error(Errc::kInvalidArgument,
                 "node " + std::to_string(to.value()) +
                     " cannot take the leadership over: name another voting member that is no witness");
  leading->transfer = Transfer{to, deadline, Index(0)};
  return Success();
}

bool Core::IsTransferring() const { return state_->leadership() != nullptr && state_->leadership()->transfer; }

NodeId Core::BestSuccessor(TimePoint now) {
  state_->See(now);
  return state_->FindSuccessor();
}

NodeId Core::State::FindSuccessor() const {
  const Leadership* leading = leadership();
  if (leading == nullptr) return NodeId(0);
  NodeId best;
  Index most;
  for (const auto& [id, progress] : leading->peers) {
    const bool answers = now - progress.contact < options.election_timeout_min;
    if (!answers || !configuration().MayLead(id) || !configuration().IsOf(id, progress.incarnation)) continue;
    if (best && progress.match <= most) continue;
    best = id;
    most = progress.match;
  }
  return best;
}

// Its disk has then what it will be elected for, and our callers have their answers.
std::optional<AppendRequest> Core::NextTimeoutNow(TimePoint now) {
  State& s = *state_;
  if (!IsTransferring()) return std::nullopt;
  Transfer& transfer = *s.leadership()->transfer;
  const Progress* successor = s.FindPeer(transfer.to);
  const Index last = s.last_index();
  if (successor == nullptr || successor->match != last || s.commit_index != last || transfer.told == last)
    return std::nullopt;
  transfer.told = last;
  return NextHeartbeat(transfer.to, now);
}

// A message of the transfer may still be under way. Where there is one more entry it finds the log changed, and whoever
// stands because of it is behind.
void Core::State::GiveTransferUp() {
  if (IsToLeave()) return BecomeFollower(term, NodeId(0));
  Leadership* leading = leadership();
  const bool was_told = leading->transfer->told != Index(0);
  leading->transfer.reset();
  if (was_told) {
    BatchBuilder noop;
    noop.Add(LogEntryType::kNoop, {});
    AppendOwn(noop, AppendTimeNow());
  }
  FollowCatchUp();
}

// As a follower, of the leader whose heartbeat it is. If our log goes on behind what the leader has seen of it, the
// leader has gone on too.
bool Core::State::MayTakeOver(const AppendEntriesArgs& args) const {
  return args.timeout_now && args.entries.empty() && args.prev_index == last_index() &&
         configuration().IsNewVoter(options.self) && MayStand();
}

}  // namespace ringraft::core
