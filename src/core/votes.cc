// Voting for others: §3.4, §3.6.1, §4.2.3, §9.6.
#include "core/state.h"

namespace ringraft::core {

// §4.2.3: while a leader may be alive, no other server gets a vote to depose it. After a restart a server does not know
// whether it had just heard from a leader, so it withholds its vote for one election timeout.
bool Core::State::MayLeaderBeAlive() const {
  if (leadership() != nullptr || now < withholds_vote_until) return true;
  return leader_contact.has_value() && now - *leader_contact < options.election_timeout_min;
}

// §3.10: a leader that has requested the campaign is no reason to refuse. An abandoned transfer is over: then the
// leader refuses the vote, and so does every server that has the entry which the leader appends in that case.
bool Core::State::IsHandedOver(const RequestVoteArgs& args) const {
  if (!args.is_transfer || !IsUpToDate(args.last_index, args.last_term)) return false;
  const Leadership* leading = leadership();
  return leading == nullptr || (leading->transfer && leading->transfer->to == args.candidate_id);
}

// §3.6.1: the later last term wins; with equal terms the longer log.
bool Core::State::IsUpToDate(Index candidate_last, Term candidate_last_term) const {
  if (candidate_last_term != history.last_term()) return candidate_last_term > history.last_term();
  return candidate_last >= history.last_index();
}

namespace {

bool IsPlausible(const CoreOptions& options, const RequestVoteArgs& args) {
  if (args.group != options.group || args.to != options.self) return false;
  if (args.candidate_id == NodeId(0) || args.candidate_id == options.self) return false;
  if (args.term == Term(0) || args.term.value() > kMaxNumber || args.last_index.value() > kMaxNumber) return false;
  // A pre-vote for term t comes from term t - 1, and no log has entries of a later term than its server's term.
  const Term newest = args.pre_vote ? args.term - 1 : args.term;
  return args.last_term <= newest && (args.last_term == Term(0)) == (args.last_index == Index(0));
}

}  // namespace

// §4.2.1: the candidate need not be a member by this server's configuration, which may be the older one: without this
// vote a new member might never win.
VoteReply Core::OnRequestVote(TimePoint now, const RequestVoteArgs& args) {
  State& s = *state_;
  s.See(now);
  // Each reply names the term, so it waits until that is durable; a granted vote is in the same hard state (hazards A1
  // and A3 in tests/CATALOGUE.md: a term or vote is sent before it is durable).
  auto answer = [&](bool is_granted) {
    return VoteReply{RequestVoteResults{s.term, is_granted, s.options.incarnation}, s.persistence.HardStateGate()};
  };
  if (!IsPlausible(s.options, args)) return answer(false);
  if (s.options.bootstraps && s.last_index() == Index(0)) return answer(false);
  if (s.MayLeaderBeAlive() && !s.IsHandedOver(args)) return answer(false);
  if (args.term < s.term) return answer(false);

  const bool is_newer = args.term > s.term;
  const bool is_up_to_date = s.IsUpToDate(args.last_index, args.last_term);
  // One vote per term (§3.4), and none if a leader of the term is known.
  auto can_vote = [&] { return s.vote == args.candidate_id || (s.vote == NodeId(0) && s.leader == NodeId(0)); };

  // §9.6: a pre-vote tells what an election would get, and changes nothing.
  if (args.pre_vote) return answer((is_newer || can_vote()) && is_up_to_date);

  if (is_newer) s.BecomeFollower(args.term, NodeId(0));
  if (!can_vote() || !is_up_to_date) return answer(false);
  if (s.vote != args.candidate_id) {
    s.vote = args.candidate_id;
    s.PersistHardState();
  }
  // This server's own pre-vote for the next term would now depose the candidate that it has voted for.
  s.role = Following{};
  s.ResetElectionTimer();  // A5; and only here, when a vote is granted (A4)
  return answer(true);
}

}  // namespace ringraft::core
