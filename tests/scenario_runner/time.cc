// Time, which advances only when a command says so.
#include <algorithm>

#include "world.h"

namespace ringraft::scenario {
namespace {

constexpr Duration kCallTimeout = std::chrono::seconds(5);  // RpcOptions::call_timeout
constexpr size_t kMaxTurns = 20000;                         // per command: 10 minutes have 12,000 heartbeats

}  // namespace

void World::FailOldCalls() {
  std::erase_if(calls_, [](const std::shared_ptr<Call>& call) { return call->has_ended; });
  for (const std::shared_ptr<Call>& call : std::vector(calls_)) {
    if (!call->has_ended && now_ - call->sent >= kCallTimeout) FailCall(call, "timed out:");
  }
}

void World::Campaign(uint64_t id) {
  const TimePoint due = core(id).NextTick();
  if (due == TimePoint::max()) {
    has_begun_ = true;
    return Tell(id, std::string(core(id).IsMember() ? "not a voter" : "not a member") + " -> does not campaign");
  }
  now_ = std::max(now_, due);
  Event(id, "election timeout", [&](core::Core& core) -> std::string {
    core.OnTick(now_);
    return "";
  });
}

void World::TickDue() {
  for (uint64_t id : Ids()) {
    if (!IsUp(id) || core(id).NextTick() > now_) continue;
    const bool leads = core(id).is_leader(), transfers = core(id).IsTransferring();
    const auto peers = core(id).PeerStatuses(now_);
    const bool waits = std::any_of(peers.begin(), peers.end(), [](const PeerStatus& p) { return p.is_catching_up; });
    const bool told_only_changes = std::exchange(only_changes_, true);
    Event(id,
          transfers || waits ? "tick"
          : leads            ? "no majority has replied for 500ms"
                             : "election timeout",
          [&](core::Core& core) -> std::string {
            core.OnTick(now_);
            return transfers && core.is_leader() && !core.IsTransferring() ? "abandons the transfer" : "";
          });
    only_changes_ = told_only_changes;
  }
  FailOldCalls();
}

TimePoint World::NextDue() const {
  TimePoint due = TimePoint::max();
  for (const auto& [id, server] : servers_) {
    if (server.core != nullptr) due = std::min(due, server.core->NextTick());
  }
  for (const std::shared_ptr<Call>& call : calls_) {
    if (!call->has_ended) due = std::min(due, call->sent + kCallTimeout);
  }
  return due;
}

void World::Tick(Duration duration) {
  const TimePoint end = now_ + duration;
  size_t turns = 0;
  while (NextDue() <= end && oracle_.violation().empty()) {
    oracle_.Claim(++turns < kMaxTurns, "a tick is due again as soon as it is over");
    now_ = std::max(now_, NextDue());
    TickDue();
  }
  now_ = end;
}

void World::HeartbeatsDue() {
  for (auto& [id, server] : servers_) {
    if (server.core == nullptr || !server.core->is_leader() || server.next_heartbeat > now_) continue;
    server.next_heartbeat = now_ + options.heartbeat_interval;
    Heartbeat(id, 0);
  }
}

void World::Run(Duration duration, const std::function<bool()>& until) {
  const TimePoint end = now_ + duration;
  const bool told_only_changes = std::exchange(only_changes_, true);
  size_t turns = 0;
  while (oracle_.violation().empty() && !(until && until())) {
    oracle_.Claim(++turns < kMaxTurns, "a tick is due again as soon as it is over");
    HeartbeatsDue();
    oracle_.Claim(DeliverAll(), "the messages do not come to an end");
    TimePoint due = std::min(end, NextDue());
    for (const auto& [id, server] : servers_) {
      if (server.core != nullptr && server.core->is_leader()) due = std::min(due, server.next_heartbeat);
    }
    if (now_ == end) break;
    now_ = std::max(now_, due);
    if (NextDue() <= now_) TickDue();
  }
  only_changes_ = told_only_changes;
}

}  // namespace ringraft::scenario
