// The plan of a run: what goes wrong, when, and for how long. Drawn whole from the seed before the run begins, so that
// a replay may leave faults out and keep the rest as it was.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/clients.h"
#include "sim/cluster.h"
#include "sim/world.h"

namespace ringraft::sim {

enum class FaultKind {
  kCrash,
  kPowerFailure,  // of all nodes
  kStop,
  kPause,
  kSlowProcessor,
  kDrift,
  kClockJump,
  kWallJump,
  kIsolate,  // one node, both directions
  kDeafen,   // one node hears nobody
  kMute,     // nobody hears one node
  kSplit,    // two groups
  kCutLink,  // one direction between two nodes
  kBridge,   // two groups, and one node that reaches both
  kSlowLink,
  kReset,
  kStorm,
  kSlowDisk,  // stalls
  kFailDisk,
  kFullDisk,
  kRot,
  kLoseDisk,
  kRemoveAndAdd,
  kDemoteAndPromote,
  kMove,
  kTransfer,
  kWipe,     // the same node comes back with nothing
  kRestore,  // or with a backup
  kWitness,  // a witness takes a voter's place
  kDuplicate,   // a copy of the disk is started beside it
};
const char* FaultName(FaultKind kind);

struct Fault {
  uint64_t number = 0;  // in the plan
  FaultKind kind = FaultKind::kCrash;
  Nanos at = 0;
  Nanos lasts = 0;
  size_t victim = 0;  // a slot; the current leader if it is past the last one
  size_t other = 0;
  uint64_t amount = 0;  // of whatever the kind counts
};

struct Plan {
  std::vector<Fault> faults;  // by time
  NetFaults net;
  DiskFaults disks;
  ScheduleFaults schedule;
  TapFaults taps;
  ClientHabits habits;
  bool has_priorities = false;  // of nodes
  bool has_durable_machines = false;
  std::optional<Limits> limits;  // small ones: the windows are full, and the log is read from the disk
};

// Swarm testing (Groce et al., 2012): the subset of kinds, and how much of each, is drawn too.
Plan DrawPlan(Random& random, const SimOptions& options);

class Saboteur final {
 public:
  Saboteur(World& world, Cluster& cluster) : world_(world), cluster_(cluster) {}
  void Begin(const Plan& plan, const SimOptions& options);
  // Ends all that goes on, starts what is down; nothing more happens.
  void HealAll();
  const std::vector<uint64_t>& happened() const { return happened_; }

 private:
  void Do(const Fault& fault);
  bool DoToNode(const Fault& fault, Slot& slot);
  bool DoToNetwork(const Fault& fault, Slot& slot);
  bool DoToDisk(const Fault& fault, Slot& slot);
  bool Cut(const std::string& from, const std::string& to, Nanos lasts);  // false if they are the same
  void CutBoth(const std::string& a, const std::string& b, Nanos lasts);
  void Later(Nanos delay, std::function<void()> action);
  Slot& Victim(const Fault& fault);

  World& world_;
  Cluster& cluster_;
  bool is_healed_ = false;
  std::vector<uint64_t> happened_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim
