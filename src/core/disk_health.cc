// A disk that stalls takes its leader's cluster with it: each write of the leader waits where a follower's need not. So
// whoever leads on one hands the leadership over, and nobody stands on one, until it is well. Neither the paper nor the
// dissertation has this; users of other systems have asked for it (hashicorp/raft #503, etcd #15247).
#include <algorithm>

#include "core/state.h"

namespace ringraft::core {
namespace {

constexpr int kGoodWrites = 3;          // in a row, and the disk is well
constexpr int kTimeOutsWithoutLeader = 10;  // after so many a slow leader is better than none

}  // namespace

bool Core::is_disk_stalled() const { return state_->stall.has_value(); }

Duration Core::disk_latency(TimePoint now) const {
  const Persistence& persistence = state_->persistence;
  const Duration waiting = persistence.oldest() < now ? now - persistence.oldest() : Duration::zero();
  return std::max(waiting, persistence.last_latency());
}

void Core::State::FollowDisk(bool has_written) {
  if (options.disk_stall_limit == Duration::zero()) return;
  const bool is_late = persistence.oldest() < now && now - persistence.oldest() > options.disk_stall_limit;
  const bool was_late = has_written && persistence.last_latency() > options.disk_stall_limit;
  if (is_late || was_late) {
    if (!stall) stall = Stall{0, now, now, options.election_timeout_max};
    stall->good_writes = 0;
  } else if (stall && has_written && ++stall->good_writes >= kGoodWrites) {
    stall.reset();
  }
}

TimePoint Core::State::NextDiskTick() const {
  if (options.disk_stall_limit == Duration::zero()) return TimePoint::max();
  if (stall) return leadership() != nullptr ? std::min(stall->look_at, stall->hand_over_at) : stall->look_at;
  const TimePoint oldest = persistence.oldest();
  return oldest == TimePoint::max() ? oldest : oldest + options.disk_stall_limit + Duration(1);
}

void Core::State::OnDiskTick() {
  FollowDisk(/*has_written=*/false);
  if (!stall) return;
  if (now >= stall->look_at) {
    stall->look_at = now + options.election_timeout_max;
    if (persistence.oldest() == TimePoint::max()) persistence.Probe(HardState{term, vote});
  }
  Leadership* leading = leadership();
  if (leading == nullptr || now < stall->hand_over_at) return;
  if (leading->transfer) {
    stall->hand_over_at = std::max(now + Duration(1), leading->transfer->deadline);
    return;
  }
  // Nothing is proposed meanwhile: where nobody takes it over, the attempts become rare.
  stall->hand_over_at = now + options.election_timeout_max + stall->pause;
  stall->pause = std::min(2 * stall->pause, kLongestPause * options.election_timeout_max);
  if (const NodeId to = FindSuccessor()) BeginTransfer(to, now + options.election_timeout_max);
}

// A leader on a slow disk is better than none for long.
bool Core::State::MayStandOnDisk() const {
  return !stall || now - led_by_somebody > options.election_timeout_max * kTimeOutsWithoutLeader;
}

}  // namespace ringraft::core
