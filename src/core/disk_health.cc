// The health of the disk, by how long writes take. A stalled disk of the leader stalls the whole cluster, while that of
// a follower does not: commits need only a majority. So a leader with a stalled disk transfers leadership, and a server
// with one does not campaign, until the disk has recovered. Neither the paper nor the dissertation has this; users of
// other systems have asked for it (hashicorp/raft #503, etcd #15247).
#include <algorithm>

#include "core/state.h"

namespace ringraft::core {
namespace {

constexpr int kGoodWrites = 3;              // in a row: the disk has recovered
constexpr int kTimeoutsWithoutLeader = 10;  // after so many a leader with a stalled disk is better than none

}  // namespace

bool Core::is_disk_stalled() const { return state_->stall.has_value(); }

Duration Core::disk_latency(TimePoint now) const {
  const Persistence& persistence = state_->persistence;
  const Duration waiting = persistence.oldest() < now ? now - persistence.oldest() : Duration::zero();
  return std::max(waiting, persistence.last_latency());
}

void Core::State::UpdateDiskHealth(bool has_written) {
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

TimePoint Core::State::NextDiskHealthTick() const {
  if (options.disk_stall_limit == Duration::zero()) return TimePoint::max();
  if (stall) return leadership() != nullptr ? std::min(stall->probe_at, stall->transfer_at) : stall->probe_at;
  const TimePoint oldest = persistence.oldest();
  return oldest == TimePoint::max() ? oldest : oldest + options.disk_stall_limit + Duration(1);
}

void Core::State::OnDiskHealthTick() {
  UpdateDiskHealth(/*has_written=*/false);
  if (!stall) return;
  if (now >= stall->probe_at) {
    stall->probe_at = now + options.election_timeout_max;
    if (persistence.oldest() == TimePoint::max()) persistence.Probe(HardState{term, vote});
  }
  Leadership* leading = leadership();
  if (leading == nullptr || now < stall->transfer_at) return;
  if (leading->transfer) {
    stall->transfer_at = std::max(now + Duration(1), leading->transfer->deadline);
    return;
  }
  // Nothing is proposed during a transfer, so unsuccessful ones become rarer.
  stall->transfer_at = now + options.election_timeout_max + stall->pause;
  stall->pause = std::min(2 * stall->pause, kLongestPause * options.election_timeout_max);
  if (const NodeId to = FindSuccessor()) BeginTransfer(to, now + options.election_timeout_max);
}

// A leader with a stalled disk is better than none for a long time.
bool Core::State::IsDiskFitToCampaign() const {
  return !stall || now - last_led > options.election_timeout_max * kTimeoutsWithoutLeader;
}

}  // namespace ringraft::core
