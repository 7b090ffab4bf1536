#include "sim/fault_injector.h"

#include <fmt/format.h>

#include <algorithm>

namespace ringraft::sim {
namespace {

std::string InSeconds(Nanos duration) { return fmt::format("{:.3f} s", static_cast<double>(duration) / 1e9); }

}  // namespace

void FaultInjector::Begin(const Plan& plan, const SimOptions& options) {
  for (const Fault& fault : plan.faults) {
    if (options.only_faults &&
        std::find(options.only_faults->begin(), options.only_faults->end(), fault.number) == options.only_faults->end())
      continue;
    Later(fault.at, [this, fault] { Inject(fault); });
  }
}

void FaultInjector::Later(Nanos delay, std::function<void()> action) {
  world_.After(delay, [this, alive = std::weak_ptr<bool>(is_alive_), action = std::move(action)] {
    if (!alive.expired() && !is_healed_) action();
  });
}

void FaultInjector::LaterAt(Slot& slot, Nanos delay, std::function<void(SimHost&)> action) {
  Later(delay, [&slot, life = slot.life, action = std::move(action)] {
    if (slot.life == life && slot.host != nullptr) action(*slot.host);
  });
}

Slot& FaultInjector::VictimOf(const Fault& fault) {
  if (fault.victim < cluster_.size()) return cluster_.slot(fault.victim);
  Slot* leader = cluster_.Leader();
  return leader != nullptr ? *leader : cluster_.slot(fault.other);
}

void FaultInjector::Log(const Fault& fault, const Slot& slot, bool has_duration) {
  world_.Log(fmt::format("fault {}: {} of node {}{}", fault.number, FaultName(fault.kind), slot.id,
                          has_duration ? " for " + InSeconds(fault.lasts) : ""));
}

bool FaultInjector::MayLoseDisk(size_t least_nodes) const {
  return cluster_.IsWhole() && cluster_.AllUp() && cluster_.size() >= least_nodes;
}

void FaultInjector::Inject(const Fault& fault) {
  Slot& slot = VictimOf(fault);
  if (InjectIntoNode(fault, slot) || InjectIntoMembership(fault, slot) || InjectIntoNetwork(fault, slot) ||
      InjectIntoDisk(fault, slot))
    happened_.push_back(fault.number);
}

bool FaultInjector::InjectIntoNode(const Fault& fault, Slot& slot) {
  if (fault.kind == FaultKind::kPowerFailure) {
    if (cluster_.Up().empty()) return false;
    world_.Log(fmt::format("fault {}: power failure", fault.number));
    for (Slot* each : cluster_.slots()) {
      if (each->raft == nullptr) continue;
      cluster_.Crash(*each, true);
      cluster_.RestartAfter(*each, fault.lasts + static_cast<Nanos>(world_.random().Below(kSecond)));
    }
    return true;
  }
  if (slot.state != Slot::State::kUp) return false;
  switch (fault.kind) {
    case FaultKind::kCrash:
      Log(fault, slot, true);
      cluster_.Crash(slot, fault.amount % 2 == 0);
      cluster_.RestartAfter(slot, fault.lasts);
      return true;
    case FaultKind::kStop:
      Log(fault, slot, true);
      cluster_.StopCleanly(slot, fault.lasts);
      return true;
    case FaultKind::kPause:
      Log(fault, slot, true);
      slot.host->PauseUntil(world_.now() + fault.lasts);
      return true;
    case FaultKind::kSlowProcessor:
      Log(fault, slot, true);
      slot.host->SetSlowness(static_cast<Nanos>(fault.amount % (3 * kMilli)));
      LaterAt(slot, fault.lasts, [](SimHost& host) { host.SetSlowness(0); });
      return true;
    case FaultKind::kDrift:
      Log(fault, slot, true);
      slot.host->time().SetDrift(static_cast<int64_t>(fault.amount % 200'000) - 100'000);
      LaterAt(slot, fault.lasts, [](SimHost& host) { host.time().SetDrift(0); });
      return true;
    case FaultKind::kClockJump:
      Log(fault, slot, true);
      slot.host->time().Jump(fault.lasts);
      slot.host->ScheduleTurn();
      return true;
    case FaultKind::kWallJump:
      Log(fault, slot, false);
      slot.host->time().SetWallOffset(fault.amount % 2 == 0 ? fault.lasts : -fault.lasts);
      return true;
    default:
      return false;
  }
}

bool FaultInjector::InjectIntoMembership(const Fault& fault, Slot& slot) {
  const bool may_change = cluster_.IsWhole() && slot.state == Slot::State::kUp;
  switch (fault.kind) {
    case FaultKind::kLoseDisk:
      if (!MayLoseDisk(3)) return false;
      Log(fault, slot, false);
      cluster_.Lose(slot);
      return true;
    case FaultKind::kRemoveAndAdd:
      if (!may_change || cluster_.size() < 2) return false;
      Log(fault, slot, false);
      cluster_.RemoveAndAdd(slot);
      return true;
    case FaultKind::kDemoteAndPromote:
      if (!may_change || cluster_.size() < 3 || slot.is_witness) return false;
      Log(fault, slot, true);
      cluster_.DemoteAndPromote(slot, fault.lasts);
      return true;
    case FaultKind::kMove:
      if (!may_change || cluster_.size() < 3) return false;
      Log(fault, slot, true);
      cluster_.Move(slot, fault.lasts);
      return true;
    case FaultKind::kWipe:
      if (!MayLoseDisk(3)) return false;
      Log(fault, slot, true);
      cluster_.Wipe(slot, fault.lasts);
      return true;
    case FaultKind::kRestore:
      if (!MayLoseDisk(3) || !cluster_.IsBackupKnown(slot)) return false;
      Log(fault, slot, true);
      cluster_.Restore(slot, fault.lasts);
      return true;
    case FaultKind::kDuplicate:
      return StartDuplicate(fault, slot);
    case FaultKind::kWitness:
      // At most one witness, and not permanently: when its disk is lost next, a voter replaces it.
      if (!MayLoseDisk(4) || cluster_.HasWitness()) return false;
      Log(fault, slot, false);
      cluster_.Lose(slot, true);
      return true;
    case FaultKind::kTransfer: {
      Slot* leader = cluster_.Leader();
      if (leader == nullptr) return false;
      world_.Log(fmt::format("fault {}: {} from node {}", fault.number, FaultName(fault.kind), leader->id));
      cluster_.Transfer(*leader, fault.amount % 2 == 0 ? NodeId(0) : NodeId(slot.id));
      return true;
    }
    default:
      return false;
  }
}

bool FaultInjector::StartDuplicate(const Fault& fault, Slot& slot) {
  if (!MayLoseDisk(3) || !cluster_.IsBackupKnown(slot)) return false;
  Log(fault, slot, true);
  const std::string address = cluster_.StartDuplicate(slot);
  // At first it may be cut off from its original or from other nodes.
  for (Slot* each : cluster_.slots()) {
    const bool is_cut = each == &slot ? fault.amount % 2 == 0 : (fault.amount >> (2 + each->number) & 1) != 0;
    if (is_cut) CutBoth(address, each->address, fault.lasts);
  }
  return true;
}

void FaultInjector::Cut(const std::string& from, const std::string& to, Nanos lasts) {
  if (from == to) return;
  cluster_.net().Cut(from, to);
  Later(lasts, [this, from, to] { cluster_.net().Mend(from, to); });
}

void FaultInjector::CutBoth(const std::string& a, const std::string& b, Nanos lasts) {
  Cut(a, b, lasts);
  Cut(b, a, lasts);
}

bool FaultInjector::InjectIntoNetwork(const Fault& fault, Slot& slot) {
  Slot& other = cluster_.slot(fault.other);
  const bool is_up = slot.state == Slot::State::kUp;
  auto tell = [&](const std::string& where) {
    world_.Log(fmt::format("fault {}: {}: {} for {}", fault.number, FaultName(fault.kind), where,
                            InSeconds(fault.lasts)));
  };
  switch (fault.kind) {
    case FaultKind::kIsolate:
    case FaultKind::kDeafen:
    case FaultKind::kMute:
      if (!is_up || cluster_.size() < 2) return false;
      tell(fmt::format("node {}", slot.id));
      for (Slot* each : cluster_.slots()) {
        if (fault.kind != FaultKind::kDeafen) Cut(slot.address, each->address, fault.lasts);
        if (fault.kind != FaultKind::kMute) Cut(each->address, slot.address, fault.lasts);
      }
      return true;
    case FaultKind::kSplit:
    case FaultKind::kBridge:
      return Divide(fault);
    case FaultKind::kCutLink:
      if (&slot == &other || !is_up) return false;
      tell(fmt::format("from node {} to node {}", slot.id, other.id));
      Cut(slot.address, other.address, fault.lasts);
      return true;
    case FaultKind::kSlowLink: {
      if (&slot == &other || !is_up) return false;
      tell(fmt::format("from node {} to node {}", slot.id, other.id));
      const Nanos more = static_cast<Nanos>(fault.amount % (300 * kMilli));
      cluster_.net().Slow(slot.address, other.address, more);
      Later(fault.lasts, [this, a = slot.address, b = other.address, more] { cluster_.net().SpeedUp(a, b, more); });
      return true;
    }
    case FaultKind::kReset: {
      bool any = false;
      for (uint64_t i = 0; i <= fault.amount % 8; ++i) any |= cluster_.net().ResetOne();
      if (any) world_.Log(fmt::format("fault {}: resets", fault.number));
      return any;
    }
    case FaultKind::kStorm:
      if (!cluster_.net().Storm(slot.address, static_cast<size_t>(1 + fault.amount % 60))) return false;
      world_.Log(fmt::format("fault {}: connection storm at node {}", fault.number, slot.id));
      return true;
    default:
      return false;
  }
}

// Divides the nodes into two groups; a bridge belongs to both.
bool FaultInjector::Divide(const Fault& fault) {
  const bool has_bridge = fault.kind == FaultKind::kBridge;
  const Slot& bridge = cluster_.slot(fault.other);
  std::string groups;
  for (Slot* each : cluster_.slots()) groups += (fault.amount >> each->number & 1) != 0 ? 'a' : 'b';
  const auto is_apart = [&](const Slot* a, const Slot* b) {
    return groups[a->number] != groups[b->number] && !(has_bridge && (a == &bridge || b == &bridge));
  };
  const std::vector<Slot*> up = cluster_.Up();
  const bool has_effect = std::any_of(up.begin(), up.end(), [&](const Slot* a) {
    return std::any_of(up.begin(), up.end(), [&](const Slot* b) { return is_apart(a, b); });
  });
  if (!has_effect) return false;
  world_.Log(fmt::format("fault {}: {}: {}{} for {}", fault.number, FaultName(fault.kind), groups,
                          has_bridge ? fmt::format(", node {} reaches both", bridge.id) : "", InSeconds(fault.lasts)));
  for (Slot* a : cluster_.slots()) {
    for (Slot* b : cluster_.slots())
      if (is_apart(a, b)) Cut(a->address, b->address, fault.lasts);
  }
  return true;
}

bool FaultInjector::InjectIntoDisk(const Fault& fault, Slot& slot) {
  if (slot.state != Slot::State::kUp) return false;
  SimDisk& disk = *slot.disk;
  switch (fault.kind) {
    case FaultKind::kSlowDisk:
      disk.StallUntil(world_.now() + fault.lasts);
      break;
    case FaultKind::kFailDisk:
      slot.down_for = fault.lasts;
      disk.FailNext(Errc::kIo);
      break;
    case FaultKind::kFullDisk:
      slot.down_for = fault.lasts;
      disk.FailNext(Errc::kFull);
      break;
    case FaultKind::kRot:
      // A node that finds the damage is replaced, as after a lost disk.
      if (!MayLoseDisk(3) || slot.is_witness) return false;
      if (!disk.last() || !disk.Rot(Index(1 + fault.amount % disk.last().value()))) return false;
      break;
    default:
      return false;
  }
  Log(fault, slot, true);
  return true;
}

void FaultInjector::HealAll() {
  is_healed_ = true;
  world_.Log("all faults end");
  cluster_.net().MendAll();
  cluster_.net().SpeedUpAll();
  cluster_.net().SetFaults(NetFaults());
  cluster_.SetDisks(DiskFaults());
  cluster_.rpc_faults() = RpcFaults();
  cluster_.machine_faults() = MachineFaults();
  for (Slot* slot : cluster_.slots()) {
    slot->disk->EndStall();
    slot->disk->MendFailure();
    slot->down_for = 10 * kMilli;
    if (slot->state == Slot::State::kDown && slot->raft == nullptr) {
      cluster_.Start(*slot);
    } else if (slot->host != nullptr) {
      slot->host->Resume();
      slot->host->SetSlowness(0);
      slot->host->time().SetDrift(0);
    }
  }
}

}  // namespace ringraft::sim
