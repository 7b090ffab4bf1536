// Elections: the coroutine that waits for the core's ticks, and those that ask the peers for their votes.
#include "node/node.h"

namespace ringraft::node {

Task<void> Node::RunElections() {
  for (;;) {
    core_->OnTick(loop().Now());
    Touch();
    // Contact with a leader moves the tick on without waking us: then this wakes, finds nothing due, and waits again.
    // What moves it closer (another role, or becoming a member) is noticed at the end of the turn.
    next_tick_ = core_->NextTick();
    auto woken = tick_moved_->WaitUntil(next_tick_);
    co_await woken;
  }
}

// A tick begins a round, and so does the answer that makes a pre-candidate a candidate.
void Node::StartVoteRounds() {
  while (std::optional<core::VoteRound> round = core_->NextVoteRound()) scope_->Start(RunVoteRound(std::move(*round)));
}

Task<void> Node::RunVoteRound(core::VoteRound round) {
  // §3.8: the term and the candidate's vote for itself are on disk before anybody hears of them.
  auto durable = Durable(round.gate);
  co_await durable;
  for (const Peer& peer : round.peers) {
    RequestVoteArgs args = round.args;
    args.to = peer.id;
    scope_->Start(AskForVote(peer, args, round.ticket));
  }
}

Task<void> Node::AskForVote(Peer peer, RequestVoteArgs args, core::VoteTicket ticket) {
  auto call = rpc_->CallRequestVote(peer.addr, args);
  auto reply = co_await call;
  if (!reply) co_return;  // the next round asks again
  core_->OnVoteReply(loop().Now(), peer.id, ticket, reply.value());
  Touch();
}

}  // namespace ringraft::node
