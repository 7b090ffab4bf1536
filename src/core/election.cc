// Standing for election: §3.4, with the pre-vote of §9.6 before each election.
#include <utility>

#include "base/assert.h"
#include "core/quorum.h"
#include "core/state.h"

namespace ringraft::core {

// Voters stand. So does one that the newest configuration removes, as long as it does not know that to be committed:
// §4.2.2, its log may be the only one among the living that can still win and bring C(new) to its commit.
bool Core::State::MayStand() const {
  if (options.is_witness) return false;
  if (configuration().IsVoter(options.self, options.incarnation)) return true;
  return configurations.newest_index() > commit_index &&
         configurations.previous().IsVoter(options.self, options.incarnation);
}

// §3.4: each time-out is drawn anew, so that split votes are rare and soon over.
void Core::State::ResetElectionTimer() {
  Duration timeout = time_outs.Between(options.election_timeout_min, options.election_timeout_max);
  election_deadline = now + timeout;
}

// Paper, Figure 2, rules for all servers: a higher term makes a follower. Also how a leader or candidate of this term
// gives up. The election timer goes on as it is (A4: only a leader's append or a granted vote resets it), but an
// ex-leader has none running.
void Core::State::BecomeFollower(Term new_term, NodeId new_leader) {
  RINGRAFT_ASSERT(new_term >= term);
  if (leadership() != nullptr) {
    ResetElectionTimer();
    if (leadership()->catch_up) EndCatchUp(Errc::kNotLeader);
  }
  if (new_term > term) {
    term = new_term;
    vote = NodeId(0);
    verified = Index(0);
    leader_contact.reset();
    PersistHardState();
  }
  leader = new_leader;
  role = Following{};
}

// §9.6: first ask whether an election could be won. Nothing is persisted and no term changes, so a server that
// is cut off cannot disturb the others when it comes back (A11).
void Core::State::BecomePreCandidate(Reason reason) {
  ResetElectionTimer();
  leader = NodeId(0);
  StartRound(/*pre_vote=*/true, reason, /*own_vote=*/0);
  CountVotes();
}

// Paper, Figure 2, rules for candidates: raise the term, vote for oneself, reset the timer, ask all others.
void Core::State::BecomeCandidate(Reason reason) {
  ResetElectionTimer();
  term = term + 1;
  vote = options.self;
  leader = NodeId(0);
  leader_contact.reset();
  verified = Index(0);
  PersistHardState();
  StartRound(/*pre_vote=*/false, reason, persistence.HardStateGate());
  CountVotes();
}

void Core::State::StartRound(bool pre_vote, Reason reason, WriteNumber own_vote) {
  Candidacy standing;
  standing.is_transfer = reason == Reason::kTransfer;
  standing.ticket = VoteTicket{term, pre_vote, ++last_round};
  standing.own_vote = own_vote;

  VoteRound round;
  round.ticket = standing.ticket;
  round.gate = persistence.HardStateGate();
  round.args.group = options.group;
  round.args.term = pre_vote ? term + 1 : term;
  round.args.candidate_id = options.self;
  round.args.last_index = history.last_index();
  round.args.last_term = history.last_term();
  round.args.pre_vote = pre_vote;
  round.args.is_transfer = standing.is_transfer;
  for (const Peer& peer : configuration().Members()) {
    if (peer.id != options.self && configuration().IsVoter(peer.id)) round.peers.push_back(peer);
  }
  if (!round.peers.empty()) standing.round = std::move(round);
  role = std::move(standing);
}

// Only members of the configuration are asked by the quorum, so answers of others weigh nothing (A17), nor do those of
// another data directory than the member's (C17); an own vote that is not on disk yet neither (A1).
void Core::State::CountVotes() {
  Candidacy* standing = candidacy();
  RINGRAFT_ASSERT(standing != nullptr);
  const bool self_counts = standing->own_vote <= persistence.persisted();
  auto has = [&](const Member& voter) {
    if (voter.id == options.self) return self_counts && voter.IsOf(options.incarnation);
    auto granted = standing->granted.find(voter.id);
    return granted != standing->granted.end() && voter.IsOf(granted->second);
  };
  if (HasQuorum(configuration(), has)) {
    if (standing->ticket.pre_vote) {
      BecomeCandidate(standing->is_transfer ? Reason::kTransfer : Reason::kTimeOut);
    } else {
      BecomeLeader();
    }
    return;
  }
  auto is_lost = [&](const Member& voter) { return standing->refused.contains(voter.id); };
  // The round is over without a result; the timer that runs on starts the next.
  if (!CanReachQuorum(configuration(), is_lost)) role = Following{};
}

std::optional<VoteRound> Core::NextVoteRound() {
  Candidacy* standing = state_->candidacy();
  if (standing == nullptr) return std::nullopt;
  return std::exchange(standing->round, std::nullopt);
}

void Core::OnVoteReply(TimePoint now, NodeId from, const VoteTicket& ticket, const RequestVoteResults& results) {
  State& s = *state_;
  s.See(now);
  if (results.term.value() > kMaxNumber) return;
  // A granted pre-vote may come from a voter that is in the proposed term already; that is no reason to give up.
  const bool is_grant_of_proposed_term = ticket.pre_vote && results.vote_granted && results.term <= ticket.term + 1;
  if (results.term > s.term && !is_grant_of_proposed_term) {
    // A7: a pre-candidate that is behind takes over the term, or the voter would refuse it for ever.
    s.BecomeFollower(results.term, NodeId(0));
    return;
  }
  // A6, A10: an answer counts for the very round that asked for it, and for no other.
  Candidacy* standing = s.candidacy();
  if (standing == nullptr || standing->ticket.round != ticket.round || standing->ticket.term != ticket.term ||
      standing->ticket.pre_vote != ticket.pre_vote) {
    return;
  }
  if (!ticket.pre_vote && results.term != s.term) return;  // no voter answers an election with an older term
  if (from == s.options.self) return;
  if (results.vote_granted) {
    standing->granted[from] = results.incarnation;
  } else {
    standing->refused.insert(from);
  }
  s.CountVotes();
}

}  // namespace ringraft::core
