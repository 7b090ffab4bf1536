#include "node/elector.h"

#include <optional>
#include <utility>

namespace ringraft::node {

Elector::Elector(coro::Loop& loop, core::Core& core, Rpc& rpc, StorageDriver& storage, coro::Scope& scope,
                 NodeControl& control)
    : loop_(loop), core_(core), rpc_(rpc), storage_(storage), scope_(scope), control_(control), tick_moved_(loop) {}

Task<void> Elector::Run() {
  for (;;) {
    core_.OnTick(loop_.Now());
    control_.Touch();
    // Contact with a leader moves the tick away without waking this: it then wakes, finds nothing due, and waits again.
    // What moves it closer (another role, or becoming a member) is noticed at the end of the turn.
    next_tick_ = core_.NextTick();
    auto woken = tick_moved_.WaitUntil(next_tick_);
    co_await woken;
  }
}

// A tick begins a round, and so does the reply that makes a pre-candidate a candidate.
void Elector::Wake() {
  while (std::optional<core::VoteRound> round = core_.NextVoteRound()) scope_.Start(RunVoteRound(std::move(*round)));
  if (core_.NextTick() < next_tick_) tick_moved_.Notify();
}

Task<void> Elector::RunVoteRound(core::VoteRound round) {
  // §3.8: the term and the candidate's vote for itself are on disk before any request leaves.
  auto durable = storage_.Durable(round.gate);
  co_await durable;
  for (const Peer& peer : round.peers) {
    RequestVoteArgs args = round.args;
    args.to = peer.id;
    scope_.Start(RequestVote(peer, args, round.ticket));
  }
}

Task<void> Elector::RequestVote(Peer peer, RequestVoteArgs args, core::VoteTicket ticket) {
  auto call = rpc_.CallRequestVote(peer.addr, args);
  auto reply = co_await call;
  if (!reply) co_return;  // the next round requests it again
  core_.OnVoteReply(loop_.Now(), peer.id, ticket, reply.value());
  control_.Touch();
}

}  // namespace ringraft::node
