// Campaigning: §3.4, with the pre-vote of §9.6 before each election.
#include <utility>

#include "base/assert.h"
#include "core/quorum.h"
#include "core/state.h"

namespace ringraft::core {

// Voters may campaign. So may one that the newest configuration removes, until it knows that this is committed
// (§4.2.2): its log may be the only one among the running servers that can win and commit C(new).
bool Core::State::MayCampaign() const {
  if (options.is_witness) return false;
  if (configuration().IsVoter(options.self, options.incarnation)) return true;
  return configurations.newest_index() > commit_index &&
         configurations.previous().IsVoter(options.self, options.incarnation);
}

// §3.4: each timeout is drawn anew, so that split votes are rare and resolved quickly.
void Core::State::ResetElectionTimer() {
  Duration timeout = timeouts.Between(options.election_timeout_min, options.election_timeout_max);
  election_deadline = now + timeout;
}

// Paper, Figure 2, rules for all servers: a higher term makes a server a follower. Also for a leader or candidate that
// steps down within its term. It does not reset the election timer, which only a leader's append or a granted vote does
// (hazard A4 in tests/CATALOGUE.md: timer reset by any vote request), except for a leader, which has none running.
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

// §9.6: first find out whether an election could be won. Nothing is persisted and no term changes, so a server that was
// cut off cannot disturb the others when it comes back (A11).
void Core::State::BecomePreCandidate(Reason reason) {
  ResetElectionTimer();
  leader = NodeId(0);
  StartRound(/*pre_vote=*/true, reason, /*own_vote=*/0);
  CountVotes();
}

// Paper, Figure 2, rules for candidates: increment the term, vote for self, reset the timer, request all votes.
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
  Candidacy campaign;
  campaign.is_transfer = reason == Reason::kTransfer;
  campaign.ticket = VoteTicket{term, pre_vote, ++last_round};
  campaign.own_vote = own_vote;
  campaign.began = now;

  VoteRound round;
  round.ticket = campaign.ticket;
  round.gate = persistence.HardStateGate();
  round.args.group = options.group;
  round.args.term = pre_vote ? term + 1 : term;
  round.args.candidate_id = options.self;
  round.args.last_index = history.last_index();
  round.args.last_term = history.last_term();
  round.args.pre_vote = pre_vote;
  round.args.is_transfer = campaign.is_transfer;
  for (const Peer& peer : configuration().Members()) {
    if (peer.id != options.self && configuration().IsVoter(peer.id)) round.peers.push_back(peer);
  }
  if (!round.peers.empty()) campaign.round = std::move(round);
  role = std::move(campaign);
}

// A vote counts only from a member of the configuration (A17) and from the member's data directory (C17). The own vote
// counts once it is durable (A1).
void Core::State::CountVotes() {
  Candidacy* campaign = candidacy();
  RINGRAFT_ASSERT(campaign != nullptr);
  const bool self_counts = campaign->own_vote <= persistence.persisted();
  auto has = [&](const Member& voter) {
    if (voter.id == options.self) return self_counts && voter.IsOf(options.incarnation);
    auto granted = campaign->granted.find(voter.id);
    return granted != campaign->granted.end() && voter.IsOf(granted->second);
  };
  if (HasQuorum(configuration(), has)) {
    if (campaign->ticket.pre_vote) {
      BecomeCandidate(campaign->is_transfer ? Reason::kTransfer : Reason::kTimeout);
    } else {
      BecomeLeader();
    }
    return;
  }
  auto is_lost = [&](const Member& voter) { return campaign->refused.contains(voter.id); };
  // The round is lost; the running timer starts the next.
  if (!CanReachQuorum(configuration(), is_lost)) role = Following{};
}

std::optional<VoteRound> Core::NextVoteRound() {
  Candidacy* campaign = state_->candidacy();
  if (campaign == nullptr) return std::nullopt;
  return std::exchange(campaign->round, std::nullopt);
}

void Core::OnVoteReply(TimePoint now, NodeId from, const VoteTicket& ticket, const RequestVoteResults& results) {
  State& s = *state_;
  s.See(now);
  if (results.term.value() > kMaxNumber) return;
  // A pre-vote may be granted by a voter that is in the proposed term already; the round continues.
  const bool is_grant_of_proposed_term = ticket.pre_vote && results.vote_granted && results.term <= ticket.term + 1;
  if (results.term > s.term && !is_grant_of_proposed_term) {
    // A7: a pre-candidate with an older term adopts the newer one, or the voter would refuse it forever.
    s.BecomeFollower(results.term, NodeId(0));
    return;
  }
  // A6, A10: a reply counts only in the round that requested it.
  Candidacy* campaign = s.candidacy();
  if (campaign == nullptr || campaign->ticket.round != ticket.round || campaign->ticket.term != ticket.term ||
      campaign->ticket.pre_vote != ticket.pre_vote) {
    return;
  }
  if (!ticket.pre_vote && results.term != s.term) return;  // no correct voter replies with an older term
  if (from == s.options.self) return;
  if (results.vote_granted) {
    campaign->granted[from] = results.incarnation;
  } else {
    campaign->refused.insert(from);
  }
  s.CountVotes();
}

}  // namespace ringraft::core
