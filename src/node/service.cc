#include "node/service.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/node.h"

namespace ringraft::node {
namespace {

// A peer's word for how long its callers wait is not trusted to fit our clock.
constexpr Duration kLongestForward = std::chrono::hours(1);

}  // namespace

Task<Result<AppendEntriesResults>> Service::AppendEntries(AppendEntriesArgs args) {
  if (node_.is_stopping()) co_return Errc::kStopped;
  if (Result<void> known = node_.CheckGeneration(args.leader_id, args.generation); !known) {
    node_.logger().Write(LogLevel::kWarning, fmt::format("{}: {}", node_.Name(), known.error().message()));
    co_return known.error();
  }
  Result<core::AppendTicket> ticket = node_.core().OnAppendEntries(node_.loop().Now(), args);
  node_.Touch();
  if (!ticket) {
    node_.logger().Write(LogLevel::kWarning, fmt::format("{}: refused an append of node {}: {}", node_.Name(),
                                                         args.leader_id.value(), ticket.error().message()));
    co_return ticket.error();
  }
  if (ticket.value().accepted && !args.entries.empty()) node_.FollowGeneration(args.generation);
  args.entries.clear();
  for (;;) {
    const core::WriteNumber gate = node_.core().AppendGate(ticket.value());
    if (gate == 0) break;
    auto durable = node_.Durable(gate);
    co_await durable;
  }
  co_return node_.core().FinishAppend(ticket.value());
}

Task<Result<RequestVoteResults>> Service::RequestVote(RequestVoteArgs args) {
  if (node_.is_stopping()) co_return Errc::kStopped;
  core::VoteReply reply = node_.core().OnRequestVote(node_.loop().Now(), args);
  node_.Touch();
  // Paper, Figure 2: term and vote are on disk before the answer leaves.
  auto durable = node_.Durable(reply.gate);
  co_await durable;
  co_return reply.results;
}

Task<Result<ForwardResults>> Service::Forward(ForwardArgs args) {
  if (node_.is_stopping()) co_return Errc::kStopped;
  TimePoint deadline = node_.loop().Now() + std::clamp(args.timeout, Duration(0), kLongestForward);
  ForwardResults results;
  results.outcomes.resize(args.calls.size());
  coro::Scope scope(node_.loop());
  for (size_t i = 0; i < args.calls.size(); ++i)
    scope.Start(ForwardOne(args.calls[i], deadline, results.outcomes[i]));
  auto all = scope.Join();
  co_await all;
  co_return results;
}

Task<void> Service::ForwardOne(const ForwardCall& call, TimePoint deadline, ForwardOutcome& outcome) {
  std::vector<Command> commands(call.commands.begin(), call.commands.end());
  HandleManyCall handle(node_, commands, HandleOptions().Deadline(deadline));
  Result<std::vector<Bytes>> results = co_await handle;
  if (results) {
    outcome.results = std::move(results.value());
  } else {
    outcome.error = results.error();
  }
}

Task<Result<BootstrapResults>> Service::Bootstrap(BootstrapArgs args) {
  if (node_.is_stopping()) co_return Errc::kStopped;
  if (args.group != node_.options().group) co_return Errc::kProtocol;
  BootstrapResults results;
  results.incarnation = node_.identity().incarnation;
  results.is_bootstrapped = node_.core().last_index() != Index(0);
  results.members = node_.written_members();
  co_return results;
}

Result<void> Service::OnCall(const Identity& peer) { return node_.MeetPeer(peer); }

Result<void> Service::OnHandshake(const Identity& peer) {
  if (Result<void> known = node_.MeetPeer(peer); !known) return known;
  if (node_.identity().cluster || !peer.cluster) return Success();
  return node_.LearnCluster(peer.cluster);
}

}  // namespace ringraft::node
