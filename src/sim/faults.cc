#include "sim/faults.h"

#include <algorithm>
#include <iterator>

namespace ringraft::sim {
namespace {

constexpr double kDurableMachines = 0.25;  // fraction of runs

// A line "hazards" names the rows of tests/CATALOGUE.md that a kind tests; the catalogue is generated from them.
struct KindInfo {
  FaultKind kind;
  const char* name;
  bool FaultKinds::*allowed;
  uint64_t weight;  // how often, relative to the others
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
    // hazards: A23
    {FaultKind::kClockJump, "clock jump", &FaultKinds::clocks, 3, kMilli, 5 * kSecond},
    {FaultKind::kWallJump, "wall clock jump", &FaultKinds::clocks, 2, kSecond, 3600 * kSecond},
    {FaultKind::kIsolate, "isolated", &FaultKinds::network, 6, 100 * kMilli, 8 * kSecond},
    // hazards: B21
    {FaultKind::kDeafen, "deaf", &FaultKinds::network, 3, 100 * kMilli, 8 * kSecond},
    // hazards: B21
    {FaultKind::kMute, "mute", &FaultKinds::network, 3, 100 * kMilli, 8 * kSecond},
    // hazards: A13
    {FaultKind::kSplit, "split", &FaultKinds::network, 4, 100 * kMilli, 8 * kSecond},
    // hazards: A13
    {FaultKind::kCutLink, "one-way cut", &FaultKinds::network, 6, 100 * kMilli, 10 * kSecond},
    // hazards: A12, A13
    {FaultKind::kBridge, "bridge", &FaultKinds::network, 3, 500 * kMilli, 8 * kSecond},
    {FaultKind::kSlowLink, "slow link", &FaultKinds::network, 4, kSecond, 10 * kSecond},
    {FaultKind::kReset, "resets", &FaultKinds::network, 8, 0, 0},
    // hazards: I5
    {FaultKind::kStorm, "connection storm", &FaultKinds::network, 2, 0, 0},
    // hazards: A24, F18
    {FaultKind::kSlowDisk, "disk stall", &FaultKinds::disks, 6, 20 * kMilli, 4 * kSecond},
    // hazards: B22, B23, F9
    {FaultKind::kFailDisk, "disk failure", &FaultKinds::disks, 3, 100 * kMilli, 3 * kSecond},
    // hazards: B22, F9
    {FaultKind::kFullDisk, "full disk", &FaultKinds::disks, 2, 100 * kMilli, 3 * kSecond},
    // hazards: B20, F3, F10
    {FaultKind::kRot, "damaged batch", &FaultKinds::disks, 2, 0, 0},
    {FaultKind::kLoseDisk, "lost disk", &FaultKinds::membership, 2, 0, 0},
    // hazards: C12
    {FaultKind::kRemoveAndAdd, "member out and in", &FaultKinds::membership, 3, 0, 0},
    {FaultKind::kDemoteAndPromote, "learner for a while", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    {FaultKind::kMove, "move to another address", &FaultKinds::membership, 2, 10 * kMilli, 3 * kSecond},
    // hazards: A21
    {FaultKind::kTransfer, "transfer of the leadership", &FaultKinds::membership, 5, 0, 0},
    // hazards: C17
    {FaultKind::kWipe, "emptied disk", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    // hazards: C17
    {FaultKind::kRestore, "restored backup", &FaultKinds::membership, 3, 10 * kMilli, 3 * kSecond},
    {FaultKind::kWitness, "witness", &FaultKinds::membership, 1, 0, 0},
    // hazards: C17
    {FaultKind::kDuplicate, "copy beside its original", &FaultKinds::membership, 3, 10 * kMilli, 5 * kSecond},
};

const KindInfo& InfoOf(FaultKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds),
                       [kind](const KindInfo& info) { return info.kind == kind; });
}

Nanos Draw(Random& random, Nanos low, Nanos high) {
  return static_cast<Nanos>(random.Between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
}

// Most draws are small, some large.
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
  if (allowed.duplicates && random.Chance(0.5)) plan.rpc.duplicate = random.Chance(0.3) ? 0.2 : 0.02;
  if (allowed.schedule && random.Chance(0.4)) plan.machines.partial = 0.1;
  if (random.Chance(0.3)) plan.habits.cancel = 0.03;
  if (random.Chance(0.3)) plan.habits.abandon = 0.03;
  if (random.Chance(0.3)) plan.habits.forward = random.Chance(0.5) ? 0.0 : 1.0;
}

}  // namespace

const char* FaultName(FaultKind kind) { return InfoOf(kind).name; }

Plan DrawPlan(Random& random, const SimOptions& options) {
  Plan plan;
  plan.has_priorities = options.faults.membership && random.Chance(0.4);
  // From a generator of its own, so that runs without durable machines are the same as before these existed.
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
  // Between a fault every six seconds and two per second.
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
    fault.victim = static_cast<size_t>(random.Below(options.nodes + 2));  // two numbers stand for the leader
    fault.other = static_cast<size_t>(random.Below(options.nodes));
    fault.amount = random.Next();
    plan.faults.push_back(fault);
  }
  return plan;
}

}  // namespace ringraft::sim
