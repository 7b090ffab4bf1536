// The plan of a run: which faults happen, when, and for how long. It is drawn as a whole from the seed before the run
// begins, so that a replay may omit faults and keep the rest unchanged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/clients.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/intercepting_machine.h"
#include "sim/intercepting_rpc.h"
#include "sim/links.h"
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
  kIsolate,   // one node, both directions
  kDeafen,    // one node receives nothing
  kMute,      // nothing that one node sends arrives
  kSplit,     // two groups
  kCutLink,   // one direction between two nodes
  kBridge,    // two groups, and one node that reaches both
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
  kWipe,       // the same node comes back with an empty disk
  kRestore,    // the same node comes back from a backup
  kWitness,    // a witness replaces a voter
  kDuplicate,  // a node starts on a copy of a disk, beside the original
};
const char* FaultName(FaultKind kind);

struct Fault {
  uint64_t number = 0;  // in the plan
  FaultKind kind = FaultKind::kCrash;
  Nanos at = 0;
  Nanos lasts = 0;
  size_t victim = 0;  // a slot; the current leader if it is past the last one
  size_t other = 0;
  uint64_t amount = 0;  // its meaning depends on the kind
};

struct Plan {
  std::vector<Fault> faults;  // by time
  NetFaults net;
  DiskFaults disks;
  ScheduleFaults schedule;
  RpcFaults rpc;
  MachineFaults machines;
  ClientHabits habits;
  bool has_priorities = false;  // of nodes
  bool has_durable_machines = false;
  std::optional<Limits> limits;  // small ones: windows are full, and the log is read from the disk
};

// Swarm testing (Groce et al., 2012): the subset of kinds, and the rate of each, is drawn too.
Plan DrawPlan(Random& random, const SimOptions& options);

}  // namespace ringraft::sim
