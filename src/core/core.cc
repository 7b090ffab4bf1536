#include "core/core.h"

#include <algorithm>
#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"
#include "core/state.h"

namespace ringraft::core {

Core::Core(const CoreOptions& options, const RecoveredLog& recovered, Index applied, TimePoint now)
    : state_(std::make_unique<State>(options, recovered, applied, now)) {}
Core::~Core() = default;

Core::State::State(const CoreOptions& options, const RecoveredLog& recovered, Index applied, TimePoint now)
    : options(options),
      timeouts(options.seed, options.self),
      now(now),
      term(recovered.hard_state.term),
      vote(recovered.hard_state.vote),
      history(recovered.terms, recovered.last_index),
      appends(recovered.last_index, now),
      persistence(recovered.last_index),
      commit_index(applied),
      applied_index(applied),
      taken_index(applied),
      last_led(now) {
  RINGRAFT_ASSERT(options.self != NodeId(0));
  RINGRAFT_ASSERT(options.election_timeout_min > Duration::zero());
  RINGRAFT_ASSERT(options.election_timeout_min < options.election_timeout_max);
  RINGRAFT_ASSERT(options.peer_window_calls > 0);
  RINGRAFT_ASSERT(applied <= recovered.last_index);
  // The bootstrap entry has term 1 and is written without an election: the server has reached its term all the same.
  if (history.last_term() > term) {
    term = history.last_term();
    vote = NodeId(0);
  }
  for (const StoredConfiguration& stored : recovered.configurations) {
    auto configuration = Configuration::Decode(stored.command);
    RINGRAFT_ASSERT(configuration.has_value());
    configurations.Append(stored.index, std::move(configuration.value()));
  }
  if (options.is_restart) withholds_vote_until = now + options.election_timeout_min;
  ResetElectionTimer();
}

Result<void> Core::CheckRecovered(const RecoveredLog& recovered) {
  auto corrupt = [](std::string_view what) {
    return Error(Errc::kCorrupt, fmt::format("the recovered log is inconsistent: {}", what));
  };
  const Index last = recovered.last_index;
  const Term stored_term = recovered.hard_state.term;
  if (last.value() > kMaxNumber || stored_term.value() > kMaxNumber)
    return corrupt(fmt::format("last index {} and term {}: expected at most 2^62", last, stored_term));
  if (recovered.terms.empty() != (last == Index(0)))
    return corrupt(fmt::format("last index {} with {} runs of terms", last, recovered.terms.size()));
  Index before;
  Term term_before;
  for (const TermRun& run : recovered.terms) {
    const bool is_first = before == Index(0);
    if ((is_first && run.first_index != Index(1)) || (!is_first && run.first_index <= before) ||
        run.first_index > last || run.term <= term_before) {
      return corrupt(fmt::format("the run of term {} from index {} does not follow the one before it, or is beyond {}",
                                 run.term, run.first_index, last));
    }
    before = run.first_index;
    term_before = run.term;
  }
  // A term is durable before entries of it are appended, except for the bootstrap entry, of term 1.
  if (term_before > Term(1) && term_before > stored_term)
    return corrupt(fmt::format("it has entries of term {}, but the stored term is {}", term_before, stored_term));
  Index configuration_before;
  for (const StoredConfiguration& stored : recovered.configurations) {
    if (stored.index <= configuration_before || stored.index > last)
      return corrupt(
          fmt::format("the configuration entry at index {} is out of order, or beyond {}", stored.index, last));
    configuration_before = stored.index;
    RINGRAFT_TRYV(Configuration::Decode(stored.command));
  }
  return Success();
}

// --- state ---

Role Core::State::role_name() const {
  if (leadership() != nullptr) return Role::kLeader;
  const Candidacy* campaign = std::get_if<Candidacy>(&role);
  if (campaign == nullptr) return Role::kFollower;
  return campaign->ticket.pre_vote ? Role::kPreCandidate : Role::kCandidate;
}

Role Core::role() const { return state_->role_name(); }
Term Core::term() const { return state_->term; }
NodeId Core::vote() const { return state_->vote; }
NodeId Core::leader() const { return state_->leader; }
Index Core::last_index() const { return state_->last_index(); }
Index Core::durable_index() const { return state_->persistence.durable_index(); }
Index Core::commit_index() const { return state_->commit_index; }
Index Core::applied_index() const { return state_->applied_index; }
Term Core::TermAt(Index index) const { return state_->history.TermAt(index); }
const Configuration& Core::configuration() const { return state_->configuration(); }
Index Core::configuration_index() const { return state_->configurations.newest_index(); }
bool Core::IsMember() const { return state_->configuration().Contains(state_->options.self); }
size_t Core::unapplied_bytes() const { return state_->tail.unapplied_bytes(); }
size_t Core::cached_bytes() const { return state_->tail.bytes(); }

std::vector<PeerStatus> Core::PeerStatuses(TimePoint now) const {
  std::vector<PeerStatus> statuses;
  FillPeerStatuses(now, statuses);
  return statuses;
}

void Core::FillPeerStatuses(TimePoint now, std::vector<PeerStatus>& statuses) const {
  const State& s = *state_;
  const Leadership* leading = s.leadership();
  size_t count = 0;
  for (const Peer& peer : s.MembersAndJoining()) {
    if (count == statuses.size()) statuses.emplace_back();
    PeerStatus& status = statuses[count++];
    status = PeerStatus();
    status.peer = peer;
    status.is_self = peer.id == s.options.self;
    const Member* member = s.configuration().Find(peer.id);
    status.kind = s.configuration().IsVoter(peer.id) ? MemberKind::kVoter : MemberKind::kLearner;
    if (member != nullptr && member->is_witness) status.kind = MemberKind::kWitness;
    if (member != nullptr) status.incarnation = member->incarnation;
    status.is_catching_up = s.CatchesUp(peer.id);
    auto data = s.configuration().data.find(peer.id);
    if (data != s.configuration().data.end()) status.data = data->second;
    if (leading != nullptr) {
      if (status.is_self) {
        status.match_index = s.persistence.durable_index();
        status.is_reachable = true;
      } else {
        const Progress& progress = leading->peers.at(peer.id);
        status.match_index = progress.match;
        status.inflight_bytes = progress.in_flight_bytes;
        status.last_contact = std::max(now - progress.contact, Duration::zero());
        status.is_reachable = status.last_contact < s.options.election_timeout_max;
        status.needs_readmission = s.NeedsReadmission(progress);
      }
      status.lag_entries = s.last_index() - status.match_index;
      const AppendHistory::Lag lag = s.appends.Behind(status.match_index, now);
      status.lag_bytes = lag.bytes;
      status.lag_time = lag.time;
    } else if (peer.id == s.leader && s.leader_contact) {
      status.last_contact = std::max(now - *s.leader_contact, Duration::zero());
    }
  }
  statuses.resize(count);
}

// --- time ---

TimePoint Core::NextTick() const {
  const State& s = *state_;
  if (const Leadership* leading = s.leadership()) {
    const TimePoint give_up = leading->transfer ? leading->transfer->deadline : TimePoint::max();
    return std::min({leading->quorum_check_at, give_up, s.NextYield(), s.SilenceDeadline(), s.NextDiskHealthTick()});
  }
  return std::min(s.MayCampaign() ? s.election_deadline : TimePoint::max(), s.NextDiskHealthTick());
}

void Core::OnTick(TimePoint now) {
  State& s = *state_;
  s.See(now);
  if (s.leadership() != nullptr) s.last_led = s.now;
  if (s.now >= s.NextDiskHealthTick()) s.OnDiskHealthTick();
  if (s.leadership() != nullptr) {
    // §6.2, CheckQuorum: a leader that hears from no majority may have been replaced without knowing it.
    if (s.now >= s.leadership()->quorum_check_at && s.QuorumHasFallenSilent())
      return s.BecomeFollower(s.term, NodeId(0));
    if (s.leadership()->transfer && s.now >= s.leadership()->transfer->deadline) s.AbandonTransfer();
    if (s.now >= s.SilenceDeadline()) s.RefuseSilentVoters();
    if (s.now >= s.NextYield()) s.YieldToHigherPriority();
    return;
  }
  if (s.now < s.election_deadline || !s.MayCampaign()) return;
  if (s.IsDiskFitToCampaign()) {
    s.BecomePreCandidate(State::Reason::kTimeout);
  } else {
    s.leader = NodeId(0);
    s.ResetElectionTimer();  // another server may campaign
  }
}

}  // namespace ringraft::core
