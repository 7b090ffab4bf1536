#include "node/leadership.h"

#include <algorithm>

#include "base/format.h"

namespace ringraft::node {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(20);
constexpr int kMaxPendingHeartbeats = 4;

}  // namespace

Leadership::Leadership(const Parts& parts, Term term)
    : options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      rpc_(parts.rpc),
      storage_(parts.storage),
      peers_(parts.peers),
      control_(parts.control),
      log_(parts.log),
      term_(term) {
  FollowConfiguration();
}

Leadership::~Leadership() = default;

void Leadership::FollowConfiguration() {
  const std::vector<Peer> peers = core_.ReplicationPeers();
  std::erase_if(pipelines_, [&](const auto& pipeline) {
    if (std::find(peers.begin(), peers.end(), pipeline.second->peer) != peers.end()) return false;
    core_.OnCallsDropped(pipeline.first);  // it may have moved, and be a peer still
    return true;
  });
  for (const Peer& peer : peers) {
    if (pipelines_.contains(peer.id)) continue;
    auto pipeline = std::make_unique<Pipeline>(loop_, peer);
    Pipeline& started = *pipeline;
    pipelines_.emplace(peer.id, std::move(pipeline));
    started.scope.Start(Replicate(started));
    started.scope.Start(Heartbeats(started));
  }
}

void Leadership::Wake() {
  for (auto& [id, pipeline] : pipelines_) pipeline->progress.Notify();
  std::optional<core::AppendRequest> request = core_.NextTimeoutNow(loop_.Now());
  if (!request) return;
  Pipeline& pipeline = *pipelines_.at(request->peer.id);
  ++pipeline.heartbeats;
  pipeline.scope.Start(AwaitHeartbeat(pipeline, std::move(*request)));
}

Task<void> Leadership::Replicate(Pipeline& pipeline) {
  for (;;) {
    if (loop_.Now() < pipeline.retry_at) {
      auto later = loop_.SleepUntil(pipeline.retry_at);
      co_await later;
      continue;
    }
    core::NextAppendResult next = core_.NextAppend(pipeline.peer.id, loop_.Now());
    if (auto* request = std::get_if<core::AppendRequest>(&next)) {
      pipeline.scope.Start(AwaitAppend(pipeline, std::move(*request)));
    } else if (auto* read = std::get_if<core::ReadRequest>(&next)) {
      auto reading = storage_.ReadLog(read->from, read->max_bytes);
      auto batches = co_await reading;
      if (!batches) co_return control_.Fail(batches.error());
      core_.OnRead(pipeline.peer.id, std::move(batches.value()));
    } else {
      auto woken = pipeline.progress.Wait();
      co_await woken;
    }
  }
}

Task<void> Leadership::AwaitAppend(Pipeline& pipeline, core::AppendRequest request) {
  core::PeerTicket ticket = request.ticket;
  request.args.generation = peers_.self().generation;
  auto call = rpc_.CallAppendEntries(pipeline.peer.addr, std::move(request.args));
  auto reply = co_await call;
  if (reply) {
    const uint64_t lost = core_.LostMatches(pipeline.peer.id);
    core_.OnAppendReply(loop_.Now(), ticket, reply.value());
    if (core_.LostMatches(pipeline.peer.id) > lost) OnLostMatch(pipeline, lost == 0);
  } else {
    core_.OnAppendFailed(ticket);
    pipeline.retry_at = loop_.Now() + kRetryDelay;
  }
  pipeline.progress.Notify();
  control_.Touch();
}

// It no longer has what it had acknowledged as durable: its disk is not the one that it was. No entry that is sent can
// mend that, so it is retried slowly.
void Leadership::OnLostMatch(Pipeline& pipeline, bool is_first) {
  pipeline.retry_at = loop_.Now() + kRetryDelay;
  if (!is_first) return;
  log_.Error(
      fmt::format("node {} has lost entries that it had acknowledged as durable (a failing disk, or a restored "
                  "backup); empty its data directory, start it, and readmit it (`ringraft readmit {}`, or "
                  "ConfigChange::Readmit)",
                  pipeline.peer.id, pipeline.peer.id));
}

// Once for each time that it becomes necessary.
void Leadership::LogReadmission(Pipeline& pipeline) {
  const bool needs_it = core_.NeedsReadmission(pipeline.peer.id);
  if (needs_it && !pipeline.needs_readmission) {
    log_.Error(
        fmt::format("node {} replies from a different data directory than the member's: it does not count, and gets "
                    "no entries; if its disk is lost, readmit it (`ringraft readmit {}`, or "
                    "ConfigChange::Readmit)",
                    pipeline.peer.id, pipeline.peer.id));
  }
  pipeline.needs_readmission = needs_it;
}

Task<void> Leadership::Heartbeats(Pipeline& pipeline) {
  for (;;) {
    if (pipeline.heartbeats < kMaxPendingHeartbeats) {
      std::optional<core::AppendRequest> request = core_.NextHeartbeat(pipeline.peer.id, loop_.Now());
      if (request) {
        ++pipeline.heartbeats;
        pipeline.scope.Start(AwaitHeartbeat(pipeline, std::move(*request)));
      }
    }
    auto later = loop_.SleepUntil(loop_.Now() + options_.heartbeat_interval);
    co_await later;
  }
}

Task<void> Leadership::AwaitHeartbeat(Pipeline& pipeline, core::AppendRequest request) {
  core::PeerTicket ticket = request.ticket;
  request.args.generation = peers_.self().generation;
  auto call = rpc_.CallAppendEntries(pipeline.peer.addr, std::move(request.args));
  auto reply = co_await call;
  --pipeline.heartbeats;
  if (!reply) co_return;
  core_.OnHeartbeatReply(loop_.Now(), ticket, reply.value());
  LogReadmission(pipeline);
  pipeline.progress.Notify();
  control_.Touch();
}

}  // namespace ringraft::node
