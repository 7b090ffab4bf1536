// Carries out the plan of a run: injects each fault at its time and ends it, and at last heals everything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/faults.h"
#include "sim/world.h"

namespace ringraft::sim {

class FaultInjector final {
 public:
  FaultInjector(World& world, Cluster& cluster) : world_(world), cluster_(cluster) {}
  void Begin(const Plan& plan, const SimOptions& options);
  // Ends all current faults and starts all nodes that are down. No fault happens after this.
  void HealAll();
  // The numbers of the faults that happened. A fault does not happen if its victim is not in a state for it.
  const std::vector<uint64_t>& happened() const { return happened_; }

 private:
  void Inject(const Fault& fault);
  // These return false if the fault is of another kind, or does not happen.
  bool InjectIntoNode(const Fault& fault, Slot& slot);
  bool InjectIntoMembership(const Fault& fault, Slot& slot);
  bool InjectIntoNetwork(const Fault& fault, Slot& slot);
  bool InjectIntoDisk(const Fault& fault, Slot& slot);
  bool StartDuplicate(const Fault& fault, Slot& slot);
  bool Divide(const Fault& fault);
  void Cut(const std::string& from, const std::string& to, Nanos lasts);
  void CutBoth(const std::string& a, const std::string& b, Nanos lasts);
  void Later(Nanos delay, std::function<void()> action);
  // Undoes a fault of a host, unless the node has ended in the meantime.
  void LaterAt(Slot& slot, Nanos delay, std::function<void(SimHost&)> action);
  Slot& VictimOf(const Fault& fault);
  void Log(const Fault& fault, const Slot& slot, bool has_duration);
  // Whether the cluster can stand the loss of a disk: none is missing, and all nodes are up.
  bool MayLoseDisk(size_t least_nodes) const;

  World& world_;
  Cluster& cluster_;
  bool is_healed_ = false;
  std::vector<uint64_t> happened_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim
