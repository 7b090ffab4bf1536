#include "sim/faults.h"

#include <fmt/format.h>

#include <algorithm>

namespace ringraft::sim {
namespace {

constexpr double kDurableMachines = 0.25;  // of the runs

struct KindInfo {
  FaultKind kind;
  const char* name;
  bool FaultKinds::*allowed;
  uint64_t weight;
  Nanos shortest;
  Nanos longest;
};

constexpr KindInfo kKinds[] = {
    {FaultKind::kCrash, "crash", &FaultKinds::crashes, 10, 50 * kMilli, 5 * kSecond},
    {FaultKind::kPowerFailure, "power failure", &FaultKinds::crashes, 2, 50 * kMilli, 3 * kSecond},
    {FaultKind::kStop, "clean stop", &FaultKinds::crashes, 3, 50 * kMilli, 3 * kSecond},
    {FaultKind::kPause, "pause", &FaultKinds::schedule, 6, 10 * kMilli, 4 * kSecond},
    {FaultKind::kSlowProcessor, "slow processor", &FaultKinds::schedule, 4, kSecond, 10 * kSecond},
    {FaultKind::kDrift, "clock drift", &FaultKinds::clocks, 4, 5 * kSecond, 30 * kSecond},
    {FaultKind::kClockJump, "clock jump", &FaultKinds::clocks, 3, kMilli, 5 * kSecond},
    {FaultKind::kWallJump, "wall clock jump", &FaultKinds::clocks, 2, kSecond, 3600 * kSecond},
    {FaultKind::kIsolate, "isolated", &FaultKinds::network, 6, 100 * kMilli, 8 * kSecond},
    {FaultKind::kDeafen, "deaf", &FaultKinds::network, 3, 100 * kMilli, 8 * kSecond},
    {FaultKind::kMute, "mute", &FaultKinds::network, 3, 100 * kMilli, 8 * kSecond},
    {FaultKind::kSplit, "split", &FaultKinds::network, 4, 100 * kMilli, 8 * kSecond},
    {FaultKind::kCutLink, "one-way cut", &FaultKinds::network, 6, 100 * kMilli, 10 * kSecond},
    {FaultKind::kBridge, "bridge", &FaultKinds::network, 3, 500 * kMilli, 8 * kSecond},
    {FaultKind::kSlowLink, "slow link", &FaultKinds::network, 4, kSecond, 10 * kSecond},
    {FaultKind::kReset, "resets", &FaultKinds::network, 8, 0, 0},
    {FaultKind::kStorm, "connection storm", &FaultKinds::network, 2, 0, 0},
    {FaultKind::kSlowDisk, "disk stall", &FaultKinds::disks, 6, 20 * kMilli, 4 * kSecond},
    {FaultKind::kFailDisk, "disk failure", &FaultKinds::disks, 3, 100 * kMilli, 3 * kSecond},
    {FaultKind::kFullDisk, "full disk", &FaultKinds::disks, 2, 100 * kMilli, 3 * kSecond},
    {FaultKind::kRot, "damaged batch", &FaultKinds::disks, 2, 0, 0},
    {FaultKind::kLoseDisk, "lost disk", &FaultKinds::membership, 2, 0, 0},
    {FaultKind::kRemoveAndAdd, "member out and in", &FaultKinds::membership, 3, 0, 0},
    {FaultKind::kDemoteAndPromote, "learner for a while", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    {FaultKind::kMove, "move to another address", &FaultKinds::membership, 2, 10 * kMilli, 3 * kSecond},
    {FaultKind::kTransfer, "transfer of the leadership", &FaultKinds::membership, 5, 0, 0},
    {FaultKind::kWipe, "emptied disk", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    {FaultKind::kRestore, "restored backup", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    {FaultKind::kWitness, "witness", &FaultKinds::membership, 1, 0, 0},
    {FaultKind::kDuplicate, "copy beside its original", &FaultKinds::membership, 3, 10 * kMilli, 5 * kSecond},
};

const KindInfo& InfoOf(FaultKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds),
                       [kind](const KindInfo& info) { return info.kind == kind; });
}

Nanos Draw(Random& random, Nanos low, Nanos high) {
  return static_cast<Nanos>(random.Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
}

// Most draws are small, some are large.
Nanos DrawSkewed(Random& random, Nanos low, Nanos high) {
  const uint64_t shift = random.Below(6);
  return low + Draw(random, 0, std::max<Nanos>(0, (high - low) >> shift));
}

void DrawBackground(Random& random, const FaultKinds& allowed, Plan& plan) {
  if (allowed.network && random.Chance(0.7)) {
    plan.net.most_latency = DrawSkewed(random, 200 * kMicro, 40 * kMilli);
    if (random.Chance(0.5)) plan.net.spike = 0.01;
    if (random.Chance(0.5)) plan.net.tear = 0.1;
    if (random.Chance(0.3)) plan.net.refuse = 0.1;
    if (random.Chance(0.2)) plan.net.bytes_per_second = Draw(random, 200'000, 20'000'000);
  }
  if (allowed.disks && random.Chance(0.7)) {
    plan.disks.most_flush = DrawSkewed(random, 300 * kMicro, 40 * kMilli);
    if (random.Chance(0.4)) plan.disks.spike = 0.02;
    if (random.Chance(0.5)) plan.disks.split = 0.3;
  }
  if (allowed.schedule && random.Chance(0.7)) {
    if (random.Chance(0.6)) plan.schedule.shuffle = 0.5;
    if (random.Chance(0.5)) plan.schedule.postpone = 0.1;
    if (random.Chance(0.4)) plan.schedule.least_passes = 1;
    plan.schedule.most_turn_time = DrawSkewed(random, 10 * kMicro, kMilli);
  }
  if (allowed.duplicates && random.Chance(0.5)) plan.taps.duplicate = random.Chance(0.3) ? 0.2 : 0.02;
  if (allowed.schedule && random.Chance(0.4)) plan.taps.partial = 0.1;
  if (random.Chance(0.3)) plan.habits.cancel = 0.03;
  if (random.Chance(0.3)) plan.habits.abandon = 0.03;
  if (random.Chance(0.3)) plan.habits.forward = random.Chance(0.5) ? 0.0 : 1.0;
}

}  // namespace

const char* FaultName(FaultKind kind) { return InfoOf(kind).name; }

Plan DrawPlan(Random& random, const SimOptions& options) {
  Plan plan;
  plan.has_priorities = options.faults.membership && random.Chance(0.4);
  // By a generator of its own: the other runs are what they were before there was this.
  plan.has_durable_machines = Random(~options.seed).Chance(kDurableMachines);
  if (options.faults.schedule && random.Chance(0.3)) {
    plan.limits = options.raft.limits;
    plan.limits->max_batch_bytes = 4096;
    plan.limits->peer_window_bytes = static_cast<size_t>(random.Between(4096, 16384));
    plan.limits->cached_tail_bytes = static_cast<size_t>(random.Between(4096, 32768));
    plan.limits->peer_window_calls = static_cast<size_t>(random.Between(1, 4));
  }
  DrawBackground(random, options.faults, plan);
  std::vector<const KindInfo*> kinds;
  uint64_t weights = 0;
  for (const KindInfo& info : kKinds) {
    const bool is_drawn = random.Chance(0.6);
    if (!is_drawn || !(options.faults.*info.allowed)) continue;
    kinds.push_back(&info);
    weights += info.weight;
  }
  if (kinds.empty()) return plan;
  const Nanos duration = std::chrono::duration_cast<std::chrono::nanoseconds>(options.duration).count();
  // From a fault in six seconds to two a second.
  const Nanos pace = DrawSkewed(random, 500 * kMilli, 6 * kSecond);
  for (Nanos at = Draw(random, 0, 2 * pace); at < duration; at += Draw(random, 1, 2 * pace)) {
    uint64_t ticket = random.Below(weights);
    const KindInfo* chosen = nullptr;
    for (const KindInfo* info : kinds) {
      chosen = info;
      if (ticket < info->weight) break;
      ticket -= info->weight;
    }
    Fault fault;
    fault.number = plan.faults.size() + 1;
    fault.kind = chosen->kind;
    fault.at = at;
    fault.lasts = DrawSkewed(random, chosen->shortest, chosen->longest);
    fault.victim = static_cast<size_t>(random.Below(options.nodes + 2));  // the leader twice as often
    fault.other = static_cast<size_t>(random.Below(options.nodes));
    fault.amount = random.Next();
    plan.faults.push_back(fault);
  }
  return plan;
}

void Saboteur::Begin(const Plan& plan, const SimOptions& options) {
  for (const Fault& fault : plan.faults) {
    if (options.only_faults &&
        std::find(options.only_faults->begin(), options.only_faults->end(), fault.number) == options.only_faults->end())
      continue;
    Later(fault.at, [this, fault] { Do(fault); });
  }
}

void Saboteur::Later(Nanos delay, std::function<void()> action) {
  world_.After(delay, [this, alive = std::weak_ptr<bool>(is_alive_), action = std::move(action)] {
    if (!alive.expired() && !is_healed_) action();
  });
}

Slot& Saboteur::Victim(const Fault& fault) {
  if (fault.victim < cluster_.size()) return cluster_.slot(fault.victim);
  Slot* leader = cluster_.Leader();
  return leader != nullptr ? *leader : cluster_.slot(fault.other);
}

void Saboteur::Do(const Fault& fault) {
  Slot& slot = Victim(fault);
  if (DoToNode(fault, slot) || DoToNetwork(fault, slot) || DoToDisk(fault, slot)) happened_.push_back(fault.number);
}

bool Saboteur::DoToNode(const Fault& fault, Slot& slot) {
  const bool is_up = slot.state == Slot::State::kUp;
  auto tell = [&](const std::string& what) {
    world_.Tell(fmt::format("fault {}: {} of node {}{}", fault.number, FaultName(fault.kind), slot.id, what));
  };
  const std::string for_time = fmt::format(" for {:.3f} s", static_cast<double>(fault.lasts) / 1e9);
  switch (fault.kind) {
    case FaultKind::kCrash:
      if (!is_up) return false;
      tell(for_time);
      cluster_.Crash(slot, fault.amount % 2 == 0);
      cluster_.RestartAfter(slot, fault.lasts);
      return true;
    case FaultKind::kPowerFailure:
      if (cluster_.Up().empty()) return false;
      world_.Tell(fmt::format("fault {}: power failure", fault.number));
      for (Slot* each : cluster_.slots()) {
        if (each->raft == nullptr) continue;
        cluster_.Crash(*each, true);
        cluster_.RestartAfter(*each, fault.lasts + static_cast<Nanos>(world_.random().Below(kSecond)));
      }
      return true;
    case FaultKind::kStop:
      if (!is_up) return false;
      tell(for_time);
      cluster_.StopCleanly(slot, fault.lasts);
      return true;
    case FaultKind::kPause:
      if (!is_up) return false;
      tell(for_time);
      slot.host->PauseUntil(world_.now() + fault.lasts);
      return true;
    case FaultKind::kSlowProcessor:
      if (!is_up) return false;
      tell(for_time);
      slot.host->SetSlowness(static_cast<Nanos>(fault.amount % (3 * kMilli)));
      Later(fault.lasts, [&slot, life = slot.life] {
        if (slot.life == life && slot.host != nullptr) slot.host->SetSlowness(0);
      });
      return true;
    case FaultKind::kDrift:
      if (!is_up) return false;
      tell(for_time);
      slot.host->time().SetDrift(static_cast<int64_t>(fault.amount % 200'000) - 100'000);
      Later(fault.lasts, [&slot, life = slot.life] {
        if (slot.life == life && slot.host != nullptr) slot.host->time().SetDrift(0);
      });
      return true;
    case FaultKind::kClockJump:
      if (!is_up) return false;
      tell(for_time);
      slot.host->time().Jump(fault.lasts);
      slot.host->ScheduleTurn();
      return true;
    case FaultKind::kWallJump:
      if (!is_up) return false;
      tell("");
      slot.host->time().SetWallOffset(fault.amount % 2 == 0 ? fault.lasts : -fault.lasts);
      return true;
    case FaultKind::kLoseDisk:
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 3) return false;
      tell("");
      cluster_.Lose(slot);
      return true;
    case FaultKind::kRemoveAndAdd:
      if (!cluster_.IsWhole() || !is_up || cluster_.size() < 2) return false;
      tell("");
      cluster_.RemoveAndAdd(slot);
      return true;
    case FaultKind::kDemoteAndPromote:
      if (!cluster_.IsWhole() || !is_up || cluster_.size() < 3 || slot.is_witness) return false;
      tell(for_time);
      cluster_.DemoteAndPromote(slot, fault.lasts);
      return true;
    case FaultKind::kMove:
      if (!cluster_.IsWhole() || !is_up || cluster_.size() < 3) return false;
      tell(for_time);
      cluster_.Move(slot, fault.lasts);
      return true;
    case FaultKind::kWipe:
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 3) return false;
      tell(for_time);
      cluster_.Wipe(slot, fault.lasts);
      return true;
    case FaultKind::kRestore:
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 3 || !cluster_.IsBackupKnown(slot))
        return false;
      tell(for_time);
      cluster_.Restore(slot, fault.lasts);
      return true;
    case FaultKind::kDuplicate: {
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 3 || !cluster_.IsBackupKnown(slot))
        return false;
      tell(for_time);
      const std::string address = cluster_.StartDuplicate(slot);
      // At first it may not reach its original, or not everybody.
      for (Slot* each : cluster_.slots()) {
        const bool is_cut = each == &slot ? fault.amount % 2 == 0 : (fault.amount >> (2 + each->number) & 1) != 0;
        if (is_cut) CutBoth(address, each->address, fault.lasts);
      }
      return true;
    }
    case FaultKind::kWitness:
      // One at a time, and not for good: the next loss of its disk makes a voter of it again.
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 4 || cluster_.HasWitness()) return false;
      tell("");
      cluster_.Lose(slot, true);
      return true;
    case FaultKind::kTransfer: {
      Slot* leader = cluster_.Leader();
      if (leader == nullptr) return false;
      world_.Tell(fmt::format("fault {}: {} from node {}", fault.number, FaultName(fault.kind), leader->id));
      cluster_.Transfer(*leader, fault.amount % 2 == 0 ? NodeId(0) : NodeId(slot.id));
      return true;
    }
    default:
      return false;
  }
}

bool Saboteur::Cut(const std::string& from, const std::string& to, Nanos lasts) {
  if (from == to) return false;
  cluster_.net().Cut(from, to);
  Later(lasts, [this, from, to] { cluster_.net().Mend(from, to); });
  return true;
}

void Saboteur::CutBoth(const std::string& a, const std::string& b, Nanos lasts) {
  Cut(a, b, lasts);
  Cut(b, a, lasts);
}

bool Saboteur::DoToNetwork(const Fault& fault, Slot& slot) {
  Slot& other = cluster_.slot(fault.other);
  const bool is_up = slot.state == Slot::State::kUp;
  auto tell = [&](const std::string& who) {
    world_.Tell(fmt::format("fault {}: {}: {} for {:.3f} s", fault.number, FaultName(fault.kind), who,
                            static_cast<double>(fault.lasts) / 1e9));
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
    case FaultKind::kBridge: {
      std::string groups;
      for (Slot* each : cluster_.slots()) groups += (fault.amount >> each->number & 1) != 0 ? 'a' : 'b';
      const auto is_apart = [&](const Slot* a, const Slot* b) {
        const bool is_bridge = fault.kind == FaultKind::kBridge && (a == &other || b == &other);
        return groups[a->number] != groups[b->number] && !is_bridge;
      };
      const std::vector<Slot*> up = cluster_.Up();
      const bool is_felt = std::any_of(up.begin(), up.end(), [&](const Slot* a) {
        return std::any_of(up.begin(), up.end(), [&](const Slot* b) { return is_apart(a, b); });
      });
      if (!is_felt) return false;
      tell(groups + (fault.kind == FaultKind::kBridge ? fmt::format(", node {} reaches both", other.id) : ""));
      for (Slot* a : cluster_.slots()) {
        for (Slot* b : cluster_.slots())
          if (is_apart(a, b)) Cut(a->address, b->address, fault.lasts);
      }
      return true;
    }
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
      if (any) world_.Tell(fmt::format("fault {}: resets", fault.number));
      return any;
    }
    case FaultKind::kStorm:
      if (!cluster_.net().Storm(slot.address, static_cast<size_t>(1 + fault.amount % 60))) return false;
      world_.Tell(fmt::format("fault {}: connection storm at node {}", fault.number, slot.id));
      return true;
    default:
      return false;
  }
}

bool Saboteur::DoToDisk(const Fault& fault, Slot& slot) {
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
      // Whoever finds it is replaced, as after a loss.
      if (!cluster_.IsWhole() || !cluster_.AllUp() || cluster_.size() < 3 || slot.is_witness) return false;
      if (!disk.last() || !disk.Rot(Index(1 + fault.amount % disk.last().value()))) return false;
      break;
    default:
      return false;
  }
  world_.Tell(fmt::format("fault {}: {} of node {} for {:.3f} s", fault.number, FaultName(fault.kind), slot.id,
                          static_cast<double>(fault.lasts) / 1e9));
  return true;
}

void Saboteur::HealAll() {
  is_healed_ = true;
  world_.Tell("all faults end");
  cluster_.net().MendAll();
  cluster_.net().SpeedUpAll();
  cluster_.net().SetFaults(NetFaults());
  cluster_.SetDisks(DiskFaults());
  cluster_.taps() = TapFaults();
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
