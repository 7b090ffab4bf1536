// Leadership transfer: §3.10.
#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/format.h"
#include "core/state.h"

namespace ringraft::core {

Result<void> Core::TransferLeadership(TimePoint now, NodeId to, TimePoint deadline) {
  State& s = *state_;
  s.See(now);
  Leadership* leading = s.leadership();
  if (leading == nullptr) return s.NotLeader();
  if (leading->transfer)
    return Error(Errc::kTransferInProgress,
                 fmt::format("leadership is being transferred to node {} already: retry with the new leader",
                             leading->transfer->to));
  if (to == s.options.self || !s.configuration().MayLead(to))
    return Error(Errc::kInvalidArgument,
                 fmt::format("node {} cannot become leader: expected another voter that is not a witness", to));
  s.BeginTransfer(to, deadline);
  return Success();
}

bool Core::IsTransferring() const { return state_->leadership() != nullptr && state_->leadership()->transfer; }

std::optional<NodeId> Core::successor() const {
  if (!IsTransferring()) return std::nullopt;
  return state_->leadership()->transfer->to;
}

bool Core::IsYielding() const { return IsTransferring() && state_->leadership()->transfer->is_yield; }

NodeId Core::BestSuccessor(TimePoint now) {
  state_->See(now);
  return state_->FindSuccessor();
}

// Commands wait during a transfer until the successor has the rest of the log, so it should not lag.
bool Core::State::IsNear(const Progress& progress) const {
  return appends.Behind(progress.match, now).time <= options.election_timeout_min / 4;
}

NodeId Core::State::FindSuccessor() const {
  const Leadership* leading = leadership();
  if (leading == nullptr) return NodeId(0);
  NodeId best;
  std::tuple<bool, uint8_t, Index> most;
  for (const auto& [id, progress] : leading->peers) {
    const bool answers = now - progress.contact < options.election_timeout_min;
    if (!answers || progress.is_disk_stalled) continue;
    if (!configuration().MayLead(id) || !configuration().IsOf(id, progress.incarnation)) continue;
    const std::tuple<bool, uint8_t, Index> has(IsNear(progress), progress.priority, progress.match);
    if (best && has <= most) continue;
    best = id;
    most = has;
  }
  return best;
}

void Core::State::BeginTransfer(NodeId to, TimePoint deadline) {
  leadership()->transfer = Transfer{to, deadline, Index(0), false};
}

// TimePoint::max() if no peer has a higher priority.
TimePoint Core::State::NextYield() const {
  const Leadership* leading = leadership();
  if (leading == nullptr) return TimePoint::max();
  const bool is_outranked = std::any_of(leading->peers.begin(), leading->peers.end(),
                                        [&](const auto& peer) { return peer.second.priority > options.priority; });
  return is_outranked ? leading->yield_at : TimePoint::max();
}

// Elections ignore priorities, so the leader moves leadership to a higher priority by a transfer, which costs one or
// two round trips. Unsuccessful transfers become rarer.
void Core::State::YieldToHigherPriority() {
  Leadership* leading = leadership();
  leading->yield_at = now + options.election_timeout_max;
  if (leading->transfer || leading->catch_up || configuration().is_joint()) return;
  const NodeId to = FindSuccessor();
  if (!to || leading->peers.at(to).priority <= options.priority || !IsNear(leading->peers.at(to))) return;
  leading->yield_at = now + options.election_timeout_max + leading->yield_pause;
  leading->yield_pause = std::min(2 * leading->yield_pause, kLongestPause * options.election_timeout_max);
  BeginTransfer(to, now + options.election_timeout_max);
  leading->transfer->is_yield = true;
}

// By then the successor's disk has the whole log, and the callers of this leader have their results.
std::optional<AppendRequest> Core::NextTimeoutNow(TimePoint now) {
  State& s = *state_;
  if (!IsTransferring()) return std::nullopt;
  Transfer& transfer = *s.leadership()->transfer;
  const Progress* successor = s.FindPeer(transfer.to);
  const Index last = s.last_index();
  if (successor == nullptr || successor->match != last || s.commit_index != last || transfer.timeout_now_at == last)
    return std::nullopt;
  transfer.timeout_now_at = last;
  return NextHeartbeat(transfer.to, now);
}

// The request to campaign may still be in flight. After one more entry it no longer matches the end of the log, and a
// server that campaigns because of it lacks that entry.
void Core::State::AbandonTransfer() {
  if (IsToLeave()) return BecomeFollower(term, NodeId(0));
  Leadership* leading = leadership();
  const bool was_told = leading->transfer->timeout_now_at != Index(0);
  leading->transfer.reset();
  if (was_told) {
    BatchBuilder noop;
    noop.Add(LogEntryType::kNoop, {});
    AppendOwn(noop, AppendTimeNow());
  }
  FollowCatchUp();
}

// Whether this follower obeys the request to campaign in the heartbeat of its leader. If its log extends beyond
// prev_index, the leader's log does too, and the request is outdated.
bool Core::State::MayTakeOver(const AppendEntriesArgs& args) const {
  return args.timeout_now && args.entries.empty() && args.prev_index == last_index() &&
         configuration().IsNewVoter(options.self) && MayCampaign() && !stall;
}

// Whether a pre-vote runs that the same leader has requested. Each heartbeat repeats the request (J3). A message may be
// lost, so the pre-vote begins anew once the shortest election timeout has passed.
bool Core::State::CampaignsFor(const AppendEntriesArgs& args) const {
  const Candidacy* campaign = std::get_if<Candidacy>(&role);
  return campaign != nullptr && campaign->is_transfer && campaign->ticket.pre_vote && args.timeout_now &&
         args.term == campaign->ticket.term && now - campaign->began < options.election_timeout_min;
}

// `running`: the pre-vote that an earlier request of this leader began, if it goes on. Its log is still the same:
// entries since then would have ended it.
void Core::State::BecomeSuccessor(std::optional<Candidacy> running) {
  if (!running) return BecomePreCandidate(Reason::kTransfer);
  leader = NodeId(0);
  role = std::move(*running);
}

}  // namespace ringraft::core
