// Becoming leader, proposing, and CheckQuorum: §3.4, §3.5, §6.2, §6.4.
#include <algorithm>
#include <chrono>

#include "base/assert.h"
#include "core/quorum.h"
#include "core/state.h"

namespace ringraft::core {

void Core::State::BecomeLeader() {
  RINGRAFT_ASSERT(vote == options.self);
  leader = options.self;
  role = Leadership{last_index() + 1, now, {}};
  leadership()->yield_at = now + options.election_timeout_max;
  leadership()->yield_pause = options.election_timeout_max;
  UpdatePeers();
  // §6.4: entries of earlier terms are committed only with one of this term, so it appends one at once.
  BatchBuilder noop;
  noop.Add(LogEntryType::kNoop, {});
  AppendOwn(noop, AppendTimeNow());
}

std::vector<Peer> Core::State::ReplicationPeers() const {
  std::vector<Peer> peers = MembersAndJoining();
  std::erase_if(peers, [&](const Peer& peer) { return peer.id == options.self; });
  return peers;
}

std::vector<Peer> Core::ReplicationPeers() const { return state_->ReplicationPeers(); }
uint64_t Core::peers_version() const { return state_->peers_version; }

// Known peers keep their progress; a new peer starts with a probe.
void Core::State::UpdatePeers() {
  ++peers_version;
  Leadership* leading = leadership();
  if (leading == nullptr) return;
  const std::vector<Peer> wanted = ReplicationPeers();
  std::erase_if(leading->peers, [&](const auto& known) {
    return std::none_of(wanted.begin(), wanted.end(), [&](const Peer& peer) { return peer.id == known.first; });
  });
  for (const Peer& peer : wanted) {
    auto [known, is_new] = leading->peers.try_emplace(peer.id, peer, last_index() + 1, now);
    if (!is_new) {
      const bool has_moved = known->second.peer.addr != peer.addr;
      known->second.peer = peer;
      // A new voter at another address may be another machine: nothing is known of it.
      if (has_moved && CatchesUp(peer.id)) known->second.Reset(0, last_index() + 1);
    }
    known->second.is_witness =
        configuration().IsWitness(peer.id) || (leading->catch_up && leading->catch_up->next.IsWitness(peer.id));
  }
  leading->quorum_check_at = now;  // the quorum may be another one: the next tick checks it
  if (leading->transfer && !configuration().IsNewVoter(leading->transfer->to)) leading->transfer->deadline = now;
}

// Returns true if no majority has replied within the longest election timeout; otherwise sets the time of the next
// check.
bool Core::State::QuorumHasFallenSilent() {
  Leadership* leading = leadership();
  // The time at which a majority has replied is found like the index that a majority has, with times as numbers.
  const Index always(UINT64_MAX);
  Index contact = QuorumIndex(configuration(), [&](const Member& voter) {
    if (voter.id == options.self) return always;
    const Progress& progress = leading->peers.at(voter.id);
    const TimePoint heard = voter.IsOf(progress.incarnation) ? progress.contact : progress.began;
    return Index(static_cast<uint64_t>(heard.time_since_epoch().count()));
  });
  if (contact == always) {
    leading->quorum_check_at = TimePoint::max();
    return false;
  }
  const TimePoint deadline = TimePoint(Duration(contact.value())) + options.election_timeout_max;
  leading->quorum_check_at = deadline;
  return now >= deadline;
}

int64_t Core::State::AppendTimeNow() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count() +
         options.wall_clock_offset_ns;
}

// §3.5. The leader counts itself only when the batch is durable (hazard B9 in tests/CATALOGUE.md), in `OnPersisted`.
BatchRef Core::State::AppendOwn(BatchBuilder& builder, int64_t append_time_ns) {
  RINGRAFT_ASSERT(leadership() != nullptr);
  RINGRAFT_ASSERT(!builder.empty());
  BatchRef batch = builder.Seal(last_index() + 1, term, options.self, options.group, append_time_ns);
  AppendToLog(batch);
  return batch;
}

BatchRef Core::Propose(BatchBuilder& builder, int64_t append_time_ns) {
  return state_->AppendOwn(builder, append_time_ns);
}

}  // namespace ringraft::core
