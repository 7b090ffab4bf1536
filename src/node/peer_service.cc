#include "node/peer_service.h"

#include <algorithm>

#include "base/format.h"
#include "base/try.h"
#include "coro/scope.h"

namespace ringraft::node {
namespace {

// The timeout comes from the peer and may not fit this node's clock.
constexpr Duration kLongestForward = std::chrono::hours(1);

}  // namespace

PeerService::PeerService(const Parts& parts)
    : options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      storage_(parts.storage),
      peers_(parts.peers),
      bootstrap_(parts.bootstrap),
      calls_(parts.calls),
      operators_(parts.operators),
      control_(parts.control),
      log_(parts.log) {}

Task<Result<AppendEntriesResults>> PeerService::AppendEntries(AppendEntriesArgs args) {
  if (control_.is_stopping()) co_return Errc::kStopped;
  if (Result<void> known = peers_.CheckGeneration(args.leader_id, args.generation); !known) {
    log_.Warning(known.error().message());
    co_return known.error();
  }
  Result<core::AppendTicket> ticket = core_.OnAppendEntries(loop_.Now(), args);
  control_.Touch();
  if (!ticket) {
    log_.Warning(fmt::format("refused an append of node {}: {}", args.leader_id, ticket.error().message()));
    co_return ticket.error();
  }
  if (ticket.value().accepted && !args.entries.empty()) peers_.AdoptGeneration(args.generation);
  args.entries.clear();
  for (;;) {
    const core::WriteNumber gate = core_.AppendGate(ticket.value());
    if (gate == 0) break;
    auto durable = storage_.Durable(gate);
    co_await durable;
  }
  co_return core_.FinishAppend(ticket.value());
}

Task<Result<RequestVoteResults>> PeerService::RequestVote(RequestVoteArgs args) {
  if (control_.is_stopping()) co_return Errc::kStopped;
  core::VoteReply reply = core_.OnRequestVote(loop_.Now(), args);
  control_.Touch();
  // Paper, Figure 2: term and vote are on disk before the reply leaves.
  auto durable = storage_.Durable(reply.gate);
  co_await durable;
  co_return reply.results;
}

Task<Result<ForwardResults>> PeerService::Forward(ForwardArgs args) {
  if (control_.is_stopping()) co_return Errc::kStopped;
  TimePoint deadline = loop_.Now() + std::clamp(args.timeout, Duration(0), kLongestForward);
  ForwardResults results;
  results.outcomes.resize(args.calls.size());
  coro::Scope scope(loop_);
  for (size_t i = 0; i < args.calls.size(); ++i) scope.Start(ForwardOne(args.calls[i], deadline, results.outcomes[i]));
  auto all = scope.Join();
  co_await all;
  co_return results;
}

Task<void> PeerService::ForwardOne(const ForwardCall& call, TimePoint deadline, ForwardOutcome& outcome) {
  std::vector<Command> commands(call.commands.begin(), call.commands.end());
  HandleManyCall handle(calls_, commands, HandleOptions().Deadline(deadline));
  Result<std::vector<Bytes>> results = co_await handle;
  if (results) {
    outcome.results = std::move(results.value());
  } else {
    outcome.error = results.error();
  }
}

Task<Result<BootstrapResults>> PeerService::Bootstrap(BootstrapArgs args) {
  if (control_.is_stopping()) co_return Errc::kStopped;
  if (args.group != options_.group) co_return Errc::kProtocol;
  BootstrapResults results;
  results.incarnation = peers_.self().incarnation;
  results.is_bootstrapped = core_.last_index() != Index(0);
  results.members = bootstrap_.written_members();
  co_return results;
}

Result<void> PeerService::OnHandshake(const Identity& peer) {
  RINGRAFT_TRYV(peers_.Verify(peer));
  if (!peers_.self().cluster && peer.cluster) peers_.AdoptCluster(peer.cluster);
  return Success();
}

}  // namespace ringraft::node
