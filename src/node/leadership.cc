#include "node/leadership.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/node.h"

namespace ringraft::node {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(20);
constexpr int kMaxUnansweredHeartbeats = 4;

}  // namespace

Leadership::Leadership(Node& node, Term term) : node_(node), term_(term) { FollowConfiguration(); }

Leadership::~Leadership() = default;

void Leadership::FollowConfiguration() {
  const std::vector<Peer> peers = node_.core().ReplicationPeers();
  std::erase_if(pipelines_, [&](const auto& pipeline) {
    if (std::find(peers.begin(), peers.end(), pipeline.second->peer) != peers.end()) return false;
    node_.core().OnCallsDropped(pipeline.first);  // it may have moved, and be a peer still
    return true;
  });
  for (const Peer& peer : peers) {
    if (pipelines_.contains(peer.id)) continue;
    auto pipeline = std::make_unique<Pipeline>(node_.loop(), peer);
    Pipeline& started = *pipeline;
    pipelines_.emplace(peer.id, std::move(pipeline));
    started.scope.Start(Replicate(started));
    started.scope.Start(Heartbeats(started));
  }
}

void Leadership::Wake() {
  for (auto& [id, pipeline] : pipelines_) pipeline->progress.Notify();
  std::optional<core::AppendRequest> request = node_.core().NextTimeoutNow(node_.loop().Now());
  if (!request) return;
  Pipeline& pipeline = *pipelines_.at(request->peer.id);
  ++pipeline.heartbeats;
  pipeline.scope.Start(AwaitHeartbeat(pipeline, std::move(*request)));
}

Task<void> Leadership::Replicate(Pipeline& pipeline) {
  for (;;) {
    if (node_.loop().Now() < pipeline.retry_at) {
      auto later = node_.loop().SleepUntil(pipeline.retry_at);
      co_await later;
      continue;
    }
    core::NextAppendResult next = node_.core().NextAppend(pipeline.peer.id, node_.loop().Now());
    if (auto* request = std::get_if<core::AppendRequest>(&next)) {
      pipeline.scope.Start(AwaitAppend(pipeline, std::move(*request)));
    } else if (auto* read = std::get_if<core::ReadRequest>(&next)) {
      auto reading = node_.ReadLog(read->from, read->max_bytes);
      auto batches = co_await reading;
      if (!batches) co_return node_.Fail(batches.error());
      node_.core().OnRead(pipeline.peer.id, std::move(batches.value()));
    } else {
      auto woken = pipeline.progress.Wait();
      co_await woken;
    }
  }
}

Task<void> Leadership::AwaitAppend(Pipeline& pipeline, core::AppendRequest request) {
  core::PeerTicket ticket = request.ticket;
  request.args.generation = node_.identity().generation;
  auto call = node_.rpc().CallAppendEntries(pipeline.peer.addr, std::move(request.args));
  auto reply = co_await call;
  if (reply) {
    const uint64_t lost = node_.core().LostMatches(pipeline.peer.id);
    node_.core().OnAppendReply(node_.loop().Now(), ticket, reply.value());
    if (node_.core().LostMatches(pipeline.peer.id) > lost) OnLostMatch(pipeline, lost == 0);
  } else {
    node_.core().OnAppendFailed(ticket);
    pipeline.retry_at = node_.loop().Now() + kRetryDelay;
  }
  pipeline.progress.Notify();
  node_.Touch();
}

// It no longer has what it had called durable: its disk is not the one that it was. Nothing that is sent can mend that,
// so it is asked again, but slowly.
void Leadership::OnLostMatch(Pipeline& pipeline, bool is_first) {
  pipeline.retry_at = node_.loop().Now() + kRetryDelay;
  if (!is_first) return;
  node_.logger().Write(LogLevel::kError,
                       fmt::format("{}: node {} has lost entries that it had acknowledged as durable: its disk, or "
                                   "a restored backup, is not what it was; empty its directory, start it, and readmit "
                                   "it (RAFT READMIT {})",
                                   node_.Name(), pipeline.peer.id.value(), pipeline.peer.id.value()));
}

// Once for each time that it begins.
void Leadership::TellOfReadmission(Pipeline& pipeline) {
  const bool needs_it = node_.core().NeedsReadmission(pipeline.peer.id);
  if (needs_it && !pipeline.needs_readmission) {
    node_.logger().Write(LogLevel::kError,
                         fmt::format("{}: node {} answers with another data directory than the one that is the member: "
                                     "it does not count, and gets nothing; if its disk is lost, readmit it (RAFT "
                                     "READMIT {})",
                                     node_.Name(), pipeline.peer.id.value(), pipeline.peer.id.value()));
  }
  pipeline.needs_readmission = needs_it;
}

Task<void> Leadership::Heartbeats(Pipeline& pipeline) {
  for (;;) {
    if (pipeline.heartbeats < kMaxUnansweredHeartbeats) {
      std::optional<core::AppendRequest> request = node_.core().NextHeartbeat(pipeline.peer.id, node_.loop().Now());
      if (request) {
        ++pipeline.heartbeats;
        pipeline.scope.Start(AwaitHeartbeat(pipeline, std::move(*request)));
      }
    }
    auto later = node_.loop().SleepUntil(node_.loop().Now() + node_.options().heartbeat_interval);
    co_await later;
  }
}

Task<void> Leadership::AwaitHeartbeat(Pipeline& pipeline, core::AppendRequest request) {
  core::PeerTicket ticket = request.ticket;
  request.args.generation = node_.identity().generation;
  auto call = node_.rpc().CallAppendEntries(pipeline.peer.addr, std::move(request.args));
  auto reply = co_await call;
  --pipeline.heartbeats;
  if (!reply) co_return;
  node_.core().OnHeartbeatReply(node_.loop().Now(), ticket, reply.value());
  TellOfReadmission(pipeline);
  pipeline.progress.Notify();
  node_.Touch();
}

}  // namespace ringraft::node
