#include "sim/cluster.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "node/identity.h"
#include "node/node.h"

namespace ringraft::sim {
namespace {

constexpr double kBackupChance = 0.5;         // of a backup before a start
constexpr Nanos kOperatorReads = 5 * kSecond;  // until the operator reads what the leader reports of a node
constexpr size_t kMostUnsaved = 64;           // entries that a durable machine may lose in a crash

bool IsRefused(SimDisk& disk) { return !disk.Store().Get(node::kRefusedKey).value().empty(); }

}  // namespace

// Log lines of the nodes belong to the story; but not warnings, which may quote texts of other libraries.
void Slot::Write(LogLevel level, std::string_view message) {
  if (host == nullptr || host->is_crashed()) return;
  if (level == LogLevel::kInfo && message.starts_with("node ")) {
    world_.Log(fmt::format("  {}", message));
  } else {
    world_.trace().Mix(8, id, static_cast<uint64_t>(level));
  }
}

Cluster::Cluster(World& world, Service& service, const SimOptions& options, std::function<void(uint64_t)> on_apply)
    : world_(world),
      service_(service),
      options_(options),
      on_apply_(std::move(on_apply)),
      net_(world),
      oracle_(world, [this](uint64_t node, uint64_t incarnation) { return FindDisk(node, incarnation); }) {
  for (size_t i = 0; i < options.nodes; ++i) {
    slots_.push_back(std::make_unique<Slot>(world, i));
    Slot& slot = *slots_.back();
    slot.id = next_id_++;
    slot.address = fmt::format("10.0.0.{}:7000", slot.id);
    slot.disk = std::make_shared<SimDisk>(world, slot.id, oracle_);
    first_members_.push_back(PeerOf(slot));
  }
}

Cluster::~Cluster() {
  for (auto* all : {&slots_, &duplicates_})
    for (auto& slot : *all)
      if (slot->raft != nullptr) Crash(*slot, true);
}

// A copy has the incarnation of its original, but is another disk.
const SimDisk* Cluster::FindDisk(uint64_t node, uint64_t incarnation) const {
  for (const auto& slot : slots_) {
    if (slot->id != node) continue;
    if (incarnation == 0 || (slot->disk->identity().incarnation == incarnation && !slot->disk->is_copy()))
      return slot->disk.get();
  }
  for (const auto& [owner, disk] : lost_disks_)
    if (owner == node && (incarnation == 0 || disk->identity().incarnation == incarnation)) return disk.get();
  return nullptr;
}

std::vector<Slot*> Cluster::slots() {
  std::vector<Slot*> all;
  for (auto& slot : slots_) all.push_back(slot.get());
  return all;
}

std::vector<Slot*> Cluster::Up() {
  std::vector<Slot*> up;
  for (auto& slot : slots_)
    if (slot->state == Slot::State::kUp) up.push_back(slot.get());
  return up;
}

bool Cluster::AllUp() const {
  return std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->state == Slot::State::kUp; });
}

Slot* Cluster::Leader() {
  Slot* newest = nullptr;
  for (Slot* slot : Up()) {
    if (!slot->raft->IsLeader()) continue;
    if (newest == nullptr || slot->raft->node().core().term() > newest->raft->node().core().term()) newest = slot;
  }
  return newest;
}

void Cluster::SetDisks(const DiskFaults& faults) {
  disk_faults_ = faults;
  for (auto& slot : slots_) slot->disk->SetFaults(faults);
}

Options Cluster::OptionsFor(const Slot& slot) const {
  Options options = options_.raft;
  options.id = NodeId(slot.id);
  options.addr = Addr(slot.address);
  options.data_dir.clear();
  options.cluster_name = "simulated";
  options.storage = slot.disk;
  options.seed = world_.trace().hash() | 1;  // a different one at each start
  options.is_witness = slot.is_witness;
  if (limits_) options.limits = *limits_;
  if (has_priorities_) options.election_priority = static_cast<uint8_t>(slot.id % 4);
  if (slot.is_joiner) {
    options.initial_members.clear();
    options.bootstrap_as_leader = false;
  } else {
    options.initial_members = first_members_;
  }
  return options;
}

// --- starts and ends ---

void Cluster::BackUp(Slot& slot) {
  slot.backup = slot.disk->Copy(slot.id);
  slot.backup_applied = slot.machine_disk.size();
}

// Draws how many of the last applied entries a durable machine loses in a crash.
size_t Cluster::Unsaved() {
  return world_.random().Chance(0.5) ? 0 : static_cast<size_t>(world_.random().Below(kMostUnsaved));
}

void Cluster::Start(Slot& slot) {
  RINGRAFT_ASSERT(slot.raft == nullptr);
  ++slot.life;
  if (slot.disk->last() && !slot.disk->is_copy() && world_.random().Chance(kBackupChance)) BackUp(slot);
  slot.machine = service_.MakeMachine(NodeId(slot.id));
  if (!slot.machine_disk.RestoreTo(*slot.machine))
    world_.Fail("a node starts from its own disk",
                fmt::format("the machine of node {} refuses entries that it has applied before", slot.id));
  slot.intercepting_machine = std::make_unique<InterceptingMachine>(
      world_, slot.subject(), oracle_, machine_faults_, *slot.machine, on_apply_,
      has_durable_machines_ ? &slot.machine_disk : nullptr, *slot.disk);
  auto host = std::make_unique<SimHost>(world_, net_, slot.address, slot.subject(), slot);
  slot.host = host.get();
  slot.host->SetSchedule(schedule_);
  slot.host->on_turn = [this, &slot] { OnTurn(slot); };
  slot.reactor = std::make_unique<Reactor>(std::move(host));
  slot.disk->Attach(*slot.host);
  slot.disk->SetFaults(disk_faults_);
  Options options = OptionsFor(slot);
  options.logger = &slot;
  options.make_rpc = [this, &slot, rpc = options.rpc](Reactor& reactor) -> std::unique_ptr<Rpc> {
    return std::make_unique<InterceptingRpc>(MakeCapnpRpc(reactor, rpc), *slot.host, oracle_, rpc_faults_);
  };
  world_.Log(fmt::format("node {} starts -> last index {}, term {}", slot.id, slot.disk->last(),
                          slot.disk->hard_state().term));
  net_.OnHostBack(slot.address);
  Result<std::unique_ptr<Raft>> raft = Raft::Create(std::move(options), *slot.intercepting_machine);
  Result<void> running = raft ? raft.value()->Run(*slot.reactor) : Result<void>(raft.error());
  if (raft) slot.raft = std::move(raft.value());
  slot.state = Slot::State::kUp;
  if (running) return;
  slot.host->Crash();
  TakeApart(slot);
  // A restored backup may have crashed between its refusal and its stop.
  if (slot.disk->is_copy() && IsRefused(*slot.disk)) return Wipe(slot, slot.down_for);
  world_.Fail("a node starts from its own disk", fmt::format("node {}: {}", slot.id, running.error().message()));
}

void Cluster::OnTurn(Slot& slot) {
  if (slot.raft == nullptr || slot.host->is_crashed()) return;
  node::Node& node = slot.raft->node();
  if (!node.IsRunning()) {
    if (slot.state != Slot::State::kUp && slot.state != Slot::State::kStopping) return;
    // It has stopped by itself, after a disk failure or damage. The operator notices some time later.
    if (slot.state == Slot::State::kUp) {
      slot.state = Slot::State::kStopping;
      world_.Log(fmt::format("node {} stops by itself", slot.id));
    }
    if (!slot.raft->Status().is_stopped) return;
    slot.state = Slot::State::kDown;
    world_.After(kMilli, [this, &slot, life = slot.life] {
      if (slot.life != life || slot.raft == nullptr) return;
      if (slot.is_duplicate) return OnDuplicateStopped(slot);
      const bool is_damaged = slot.disk->is_rotten();
      Crash(slot, false);
      slot.disk->MendFailure();
      if (slot.disk->is_copy()) {
        Wipe(slot, slot.down_for);
      } else if (is_damaged) {
        Lose(slot);
      } else {
        RestartAfter(slot, slot.down_for);
      }
    });
    return;
  }
  // The start is a message: there is no core until it has been delivered.
  if (!node.has_started() || slot.is_duplicate) return;
  Oracle::Subject subject;
  subject.id = slot.id;
  subject.core = &node.core();
  subject.waiting_bytes = node.proposer().waiting_bytes();
  subject.waiting_calls = node.calls_in_use();
  subject.limits = &node.limits();
  subject.disk = slot.disk.get();
  if (oracle_.Knows(slot.id)) return oracle_.OnTurn(subject);
  oracle_.OnStarted(subject);
}

void Cluster::TakeApart(Slot& slot) {
  slot.state = Slot::State::kDown;  // first: calls end with the node, and their callers choose another one
  slot.raft.reset();
  slot.reactor.reset();
  slot.host = nullptr;
  slot.intercepting_machine.reset();
  slot.machine.reset();
  ++slot.life;
}

void Cluster::Crash(Slot& slot, bool is_silent) {
  if (slot.raft == nullptr) return;
  world_.Log(fmt::format("node {} dies{}", slot.id, is_silent ? " without a word" : ""));
  oracle_.OnEnded(slot.subject());
  slot.disk->Crash();
  if (slot.machine_disk.size() != 0)
    slot.machine_disk.Keep(slot.machine_disk.size() - std::min(slot.machine_disk.size(), Unsaved()));
  net_.OnHostGone(*slot.host, is_silent);
  slot.host->Crash();
  TakeApart(slot);
}

void Cluster::StopCleanly(Slot& slot, Nanos down_for) {
  if (slot.state != Slot::State::kUp) return;
  world_.Log(fmt::format("node {} is stopped", slot.id));
  slot.raft->Stop();
  slot.state = Slot::State::kStopping;
  slot.down_for = down_for;
}

void Cluster::RestartAfter(Slot& slot, Nanos delay) {
  world_.After(delay, [this, &slot, life = slot.life] {
    if (slot.life == life && slot.state == Slot::State::kDown) Start(slot);
  });
}

void Cluster::Lose(Slot& slot, bool becomes_witness) {
  if (slot.raft != nullptr) Crash(slot, true);
  slot.state = Slot::State::kLost;
  ++slot.life;
  ++lost_;
  const NodeId old(slot.id);
  // The rules still count what this disk had acknowledged.
  lost_disks_.emplace_back(slot.id, std::move(slot.disk));
  slot.backup.reset();
  slot.machine_disk = MachineDisk();
  slot.is_witness = becomes_witness;
  slot.id = next_id_++;
  slot.address = fmt::format("10.0.0.{}:7000", slot.id);
  slot.disk = std::make_shared<SimDisk>(world_, slot.id, oracle_);
  slot.is_joiner = true;
  world_.Log(fmt::format("node {} is lost with its disk -> node {} replaces it{}", old, slot.id,
                          becomes_witness ? ", as a witness" : ""));
  Start(slot);
  ConfigChange change;
  becomes_witness ? change.AddWitness(PeerOf(slot)) : change.AddVoter(PeerOf(slot));
  ChangeMembers(change.Remove(old), [this] { --lost_; });
}

void Cluster::Wipe(Slot& slot, Nanos down_for) {
  if (slot.raft != nullptr) Crash(slot, true);
  world_.Log(fmt::format("the disk of node {} is emptied", slot.id));
  if (slot.disk->is_copy()) {
    --lost_;  // a copy has acknowledged nothing
  } else {
    lost_disks_.emplace_back(slot.id, std::move(slot.disk));
  }
  slot.backup.reset();
  slot.machine_disk = MachineDisk();
  slot.disk = std::make_shared<SimDisk>(world_, slot.id, oracle_);
  oracle_.OnDiskReplaced(slot.id);
  RestartAfter(slot, down_for);
  ChangeMembers(ConfigChange().Readmit(NodeId(slot.id)), [] {});
}

void Cluster::Restore(Slot& slot, Nanos down_for) {
  Crash(slot, true);
  world_.Log(fmt::format("node {} is restored from a backup", slot.id));
  lost_disks_.emplace_back(slot.id, std::move(slot.disk));
  slot.disk = std::move(slot.backup);
  slot.machine_disk.Keep(slot.backup_applied);
  oracle_.OnDiskReplaced(slot.id);
  ++lost_;  // until it is refused
  RestartAfter(slot, down_for);
  // All nodes that it knows may be gone, so that none can refuse it. Then the operator acts on what the leader reports.
  world_.After(down_for + kOperatorReads, [this, &slot, copy = std::weak_ptr(slot.disk)] {
    if (!copy.expired() && copy.lock() == slot.disk) Wipe(slot, kSecond);
  });
}

bool Cluster::IsBackupKnown(Slot& slot) {
  if (slot.backup == nullptr) return false;
  const Identity now = slot.disk->identity();
  const Identity then = slot.backup->identity();
  if (then.incarnation != now.incarnation || then.start_count >= now.start_count) return false;
  return std::all_of(slots_.begin(), slots_.end(), [&](const auto& other) {
    if (other.get() == &slot) return true;
    auto starts = node::StartCounts::Decode(other->disk->Store().Get(node::kStartsKey).value());
    return starts && starts.value().Latest(now.node, now.incarnation) >= now.start_count;
  });
}

std::string Cluster::StartDuplicate(Slot& slot) {
  duplicates_.push_back(std::make_unique<Slot>(world_, slot.number));
  Slot& copy = *duplicates_.back();
  copy.id = slot.id;
  copy.address = fmt::format("10.0.1.{}:{}", slot.id, next_port_++);
  copy.is_duplicate = true;
  copy.is_joiner = true;
  copy.is_witness = slot.is_witness;
  copy.disk = slot.backup->Copy(copy.subject());
  copy.machine_disk = slot.machine_disk;
  copy.machine_disk.Keep(slot.backup_applied);
  ++lost_;  // until it is refused
  world_.Log(fmt::format("a copy of the disk of node {} is started beside it", slot.id));
  Start(copy);
  // All nodes that it knows may be gone, so that none can refuse it.
  world_.After(kOperatorReads, [this, &copy, life = copy.life] {
    if (copy.life != life || copy.raft == nullptr || KnowsOthers(copy)) return;
    Crash(copy, false);
    --lost_;
  });
  return copy.address;
}

// Whether any other node is at the address under which the copy knows it.
bool Cluster::KnowsOthers(Slot& copy) const {
  if (!copy.raft->node().has_started()) return true;
  const std::vector<Peer> known = copy.raft->node().core().configuration().Members();
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& slot) {
    return slot->id != copy.id && std::any_of(known.begin(), known.end(), [&](const Peer& peer) {
             return peer.id == NodeId(slot->id) && peer.addr == Addr(slot->address);
           });
  });
}

void Cluster::OnDuplicateStopped(Slot& slot) {
  Crash(slot, false);
  if (!IsRefused(*slot.disk))
    return world_.Fail("a copied node is refused",
                       fmt::format("the copy of node {} stops for another reason", slot.id));
  world_.Log(fmt::format("the copy of node {} is refused", slot.id));
  --lost_;
}

bool Cluster::HasWitness() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->is_witness; });
}

void Cluster::Move(Slot& slot, Nanos down_for) {
  Crash(slot, true);
  slot.address = fmt::format("10.0.0.{}:{}", slot.id, next_port_++);
  slot.is_joiner = true;  // its log has the members
  RestartAfter(slot, down_for);
  ChangeMembers(ConfigChange().SetAddr(NodeId(slot.id), Addr(slot.address)), [] {});
}

bool Cluster::IsWhole() const {
  // No node can be replaced before all have started: the initial members wait for each other.
  const bool are_good = std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) {
    return slot->disk->last() != Index(0) && !slot->disk->is_rotten();
  });
  return operations_ == 0 && lost_ == 0 && are_good;
}

std::string Cluster::Unrest() {
  if (!AllUp()) return "not all nodes are up";
  if (Leader() == nullptr) return "there is no leader";
  if (operations_ != 0 || lost_ != 0) return "the operator is still changing the members";
  const core::Core& leader = Leader()->raft->node().core();
  for (Slot* slot : Up()) {
    node::Node& node = slot->raft->node();
    const std::string who = fmt::format("node {} ", slot->id);
    if (!node.has_started()) return who + "has not started";
    if (node.calls_in_use() != 0) return who + "has waiting calls";
    const core::Core& core = node.core();
    if (core.last_index() != leader.last_index()) return who + "has a different log than the leader";
    if (core.applied_index() != leader.last_index()) return who + "has not applied all entries";
    if (core.configuration().is_joint()) return who + "has a joint configuration";
    if (slot->disk->last() != leader.last_index()) return who + "does not have all entries on its disk";
  }
  for (const PeerStatus& peer : leader.PeerStatuses(Leader()->host->loop().Now()))
    if (peer.inflight_bytes != 0) return fmt::format("the leader waits for replies of node {}", peer.peer.id);
  return "";
}

}  // namespace ringraft::sim
