// The invariants that hold between any two events. Tests check them after each step; the cheap and vital ones are also
// asserted where they could be broken.
#include "base/assert.h"
#include "core/state.h"

namespace ringraft::core {

void Core::CheckInvariants() const {
  State& s = *state_;
  s.CheckLog();
  s.CheckRole();
  s.CheckMonotonic();
}

void Core::State::CheckLog() const {
  RINGRAFT_ASSERT(applied_index <= taken_index);
  RINGRAFT_ASSERT(taken_index <= commit_index);
  RINGRAFT_ASSERT(commit_index <= last_index());
  RINGRAFT_ASSERT(verified <= last_index());
  RINGRAFT_ASSERT(history.last_term() <= term);
  persistence.CheckInvariants(last_index());
  // Entries that are not durable are in memory, and the tail ends at the last index.
  const Index durable = persistence.durable_index();
  RINGRAFT_ASSERT(durable == last_index() || tail.Holds(durable + 1));
  Index expected = tail.empty() ? last_index() + 1 : tail[0].first();
  size_t bytes = 0;
  size_t unapplied = 0;
  for (size_t i = 0; i < tail.size(); ++i) {
    const BatchRef& batch = tail[i];
    RINGRAFT_ASSERT(batch.first() == expected);
    RINGRAFT_ASSERT(history.TermAt(batch.first()) == batch.term());
    RINGRAFT_ASSERT(history.TermAt(batch.last()) == batch.term());
    expected = batch.last() + 1;
    bytes += batch.size();
    if (batch.last() > applied_index) unapplied += batch.size();
  }
  RINGRAFT_ASSERT(expected == last_index() + 1);
  RINGRAFT_ASSERT(bytes == tail.bytes());
  RINGRAFT_ASSERT(unapplied == tail.unapplied_bytes());
  RINGRAFT_ASSERT(configurations.newest_index() <= last_index());
}

void Core::State::CheckRole() const {
  if (const Leadership* leading = leadership()) {
    RINGRAFT_ASSERT(leader == options.self);
    RINGRAFT_ASSERT(vote == options.self);
    RINGRAFT_ASSERT(history.TermAt(leading->first_index) == term);
    RINGRAFT_ASSERT(history.TermAt(leading->first_index - 1) < term);
    CheckProgress(*leading);
    return;
  }
  RINGRAFT_ASSERT(leader != options.self);
  if (role_name() == Role::kCandidate) RINGRAFT_ASSERT(vote == options.self);
  if (role_name() != Role::kFollower) RINGRAFT_ASSERT(leader == NodeId(0));
}

void Core::State::CheckProgress(const Leadership& leading) const {
  const std::vector<Peer> others = ReplicationPeers();
  for (const Peer& peer : others) RINGRAFT_ASSERT(leading.peers.contains(peer.id));
  RINGRAFT_ASSERT(leading.peers.size() == others.size());
  if (leading.catch_up) RINGRAFT_ASSERT(!configuration().is_joint() && leading.catch_up->state->index == Index(0));
  for (const auto& [id, progress] : leading.peers) {
    RINGRAFT_ASSERT(progress.match < progress.next);
    RINGRAFT_ASSERT(progress.next <= last_index() + 1);
    RINGRAFT_ASSERT(progress.commit_told <= commit_index);
    RINGRAFT_ASSERT(progress.in_flight.size() <= options.peer_window_calls);
    RINGRAFT_ASSERT(progress.state == Progress::State::kReplicate || progress.in_flight.size() <= 1);
    size_t bytes = 0;
    for (const Progress::InFlight& sent : progress.in_flight) bytes += sent.bytes;
    RINGRAFT_ASSERT(bytes == progress.in_flight_bytes);
  }
}

void Core::State::CheckMonotonic() {
  RINGRAFT_ASSERT(term >= checked.term);
  if (term == checked.term && checked.vote) RINGRAFT_ASSERT(vote == checked.vote);  // §3.4: one vote per term
  RINGRAFT_ASSERT(commit_index >= checked.commit_index);
  RINGRAFT_ASSERT(applied_index >= checked.applied_index);
  if (checked.commit_term) RINGRAFT_ASSERT(history.TermAt(checked.commit_index) == checked.commit_term);
  checked = Checked{term, vote, commit_index, history.TermAt(commit_index), applied_index};
}

}  // namespace ringraft::core
