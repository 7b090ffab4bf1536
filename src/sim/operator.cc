// The operator of the cluster: requests changes of the members and of the leader.
#include <fmt/format.h>

#include <algorithm>

#include "base/format.h"
#include "node/node.h"
#include "sim/cluster.h"
#include "sim/detached_task.h"

namespace ringraft::sim {
namespace {

constexpr Nanos kOperatorPause = 300 * kMilli;
constexpr auto kOperatorPatience = std::chrono::seconds(3);
// Twice that for a slow clock, and the granularity of the timers. A transfer takes at most four of the longest election
// timeouts, which is less.
constexpr Nanos kMostOperatorCall = 10 * kSecond;

DetachedTask Change(Raft& raft, ConfigChange change, TimePoint deadline, std::function<void(Errc)> done) {
  HandleOptions options;
  options.Deadline(deadline);
  auto call = raft.ChangeConfig(std::move(change), options);
  Result<void> changed = co_await call;
  done(changed ? Errc::kOk : changed.error().code());
}

constexpr std::string_view kSigns = "+~-^_@=*!";  // of ConfigChange::StepKind

std::string Describe(const ConfigChange& change) {
  std::string text;
  for (const ConfigChange::Step& step : change.steps())
    text += fmt::format(" {}{}", kSigns[static_cast<size_t>(step.kind)], step.peer.id);
  return text;
}

// Whether the step has been carried out in `members`. `incarnation` is that of the current disk of the node.
bool HoldsFor(const ConfigChange::Step& step, const core::Configuration& members, uint64_t incarnation) {
  const NodeId id = step.peer.id;
  const core::Member* peer = members.Find(id);
  switch (step.kind) {
    case ConfigChange::StepKind::kAddVoter:
    case ConfigChange::StepKind::kPromote:
      return members.IsNewVoter(id);
    case ConfigChange::StepKind::kAddLearner:
    case ConfigChange::StepKind::kDemote:
      return peer != nullptr && !members.IsNewVoter(id);
    case ConfigChange::StepKind::kRemove:
      return peer == nullptr;
    case ConfigChange::StepKind::kSetAddr:
      return peer != nullptr && peer->addr == step.peer.addr;
    case ConfigChange::StepKind::kAddWitness:
      return members.IsNewVoter(id) && peer->is_witness;
    case ConfigChange::StepKind::kReadmit:
      return peer != nullptr && peer->incarnation == incarnation;
    case ConfigChange::StepKind::kSetData:
      return members.data.contains(id) && members.data.at(id) == step.data;
  }
  return false;
}

DetachedTask TransferLeadership(Raft& raft, NodeId to, std::function<void(Errc)> done) {
  auto call = raft.TransferLeadership(to);
  Result<void> transferred = co_await call;
  done(transferred ? Errc::kOk : transferred.error().code());
}

}  // namespace

void Cluster::Transfer(Slot& leader, NodeId to) {
  const uint64_t call = BeginCall(leader, "the transfer of the leadership");
  TransferLeadership(*leader.raft, to, [this, call](Errc code) {
    operator_calls_.erase(call);
    world_.Log(fmt::format("the transfer of the leadership -> {}", Error(code).message()));
  });
}

uint64_t Cluster::BeginCall(const Slot& slot, const char* what) {
  operator_calls_[next_operator_call_] = OperatorCall{&slot, slot.life, world_.now(), what};
  return next_operator_call_++;
}

std::string Cluster::Overdue() const {
  for (const auto& [number, call] : operator_calls_) {
    if (world_.now() < call.begun + kMostOperatorCall) continue;
    const SimHost* host = call.slot->life == call.life ? call.slot->host : nullptr;
    if (host != nullptr && (host->is_paused() || host->was_paused_since(call.begun))) continue;
    return fmt::format("{} at node {} began at {:.3f} s", call.what, call.slot->id,
                       static_cast<double>(call.begun) / 1e9);
  }
  return std::string();
}

void Cluster::RemoveAndAdd(Slot& slot) {
  const Peer peer = PeerOf(slot);
  world_.Log(fmt::format("the operator takes node {} out and in again", slot.id));
  ConfigChange back;
  slot.is_witness ? back.AddWitness(peer) : back.AddVoter(peer);
  ChangeMembers(ConfigChange().Remove(peer.id), [this, back] { ChangeMembers(back, [] {}); });
}

void Cluster::DemoteAndPromote(Slot& slot, Nanos lasts) {
  const NodeId id(slot.id);
  ChangeMembers(ConfigChange().Demote(id), [this, id, lasts] {
    ++operations_;  // until it is promoted
    world_.After(lasts, [this, id] {
      --operations_;
      ChangeMembers(ConfigChange().Promote(id), [] {});
    });
  });
}

// Sends the change to the current leader, and retries until it is done. An earlier try with an unknown outcome may have
// done it already.
void Cluster::ChangeMembers(ConfigChange change, std::function<void()> done) {
  ++operations_;
  auto again = std::make_shared<std::function<void()>>();
  auto finish = [this, done = std::move(done), again] {
    --operations_;
    done();
    world_.After(0, [again] { *again = nullptr; });
  };
  *again = [this, change = std::move(change), finish, weak = std::weak_ptr(again)] {
    auto self = weak.lock();
    auto retry = [this, self] {
      world_.After(kOperatorPause, [self] {
        if (*self) (*self)();
      });
    };
    Slot* leader = Leader();
    if (leader == nullptr) return retry();
    const TimePoint deadline = leader->host->time().Now() + kOperatorPatience;
    const uint64_t call = BeginCall(*leader, "a change of the members");
    Change(*leader->raft, change, deadline, [this, call, retry, finish, change](Errc code) {
      operator_calls_.erase(call);
      world_.Log(fmt::format("the operator's change{} -> {}", Describe(change), Error(code).message()));
      if (code == Errc::kOk) return finish();
      // An earlier try may have done it; then the newest configuration is committed.
      const bool is_there = code == Errc::kAlreadyMember || code == Errc::kNotMember;
      if (is_there && IsChangeCommitted(change)) return finish();
      retry();
    });
  };
  world_.After(0, [again] {
    if (*again) (*again)();
  });
}

// According to the node with the highest commit index: a leader that is cut off may answer from an old configuration.
bool Cluster::IsChangeCommitted(const ConfigChange& change) {
  const core::Core* newest = nullptr;
  for (Slot* slot : Up()) {
    if (!slot->raft->node().has_started()) continue;
    const core::Core& core = slot->raft->node().core();
    if (newest == nullptr || core.commit_index() > newest->commit_index()) newest = &core;
  }
  if (newest == nullptr || newest->configuration_index() > newest->commit_index()) return false;
  const core::Configuration& members = newest->configuration();
  return !members.is_joint() &&
         std::all_of(change.steps().begin(), change.steps().end(), [&](const ConfigChange::Step& step) {
           const SimDisk* disk = FindDisk(step.peer.id.value(), 0);
           return HoldsFor(step, members, disk->identity().incarnation);
         });
}

}  // namespace ringraft::sim
