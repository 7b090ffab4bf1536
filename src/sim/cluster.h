// The nodes of one run: their birth, their deaths, their disks, which outlive them, and the operator who replaces what
// is lost.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ringraft/raft.h"
#include "ringraft/reactor.h"
#include "sim/disk.h"
#include "sim/host.h"
#include "sim/net.h"
#include "sim/oracle.h"
#include "sim/tap.h"
#include "sim/world.h"

namespace ringraft::sim {

// A place where a node runs: a machine. Its node's id changes when its disk is lost and it is replaced by a new member.
class Slot final : public Logger {
 public:
  enum class State { kDown, kUp, kStopping, kLost };

  Slot(World& world, size_t number) : world_(world), number(number) {}
  void Write(LogLevel level, std::string_view message) override;
  // What the rules know it as.
  uint64_t subject() const { return is_duplicate ? Oracle::kDuplicate + id : id; }

  World& world_;
  const size_t number;
  uint64_t id = 0;
  std::string address;
  State state = State::kDown;
  bool is_joiner = false;  // not of the first list
  bool is_witness = false;
  bool is_duplicate = false;    // runs on a copy of another slot's disk, under its id
  uint64_t life = 0;         // raised by each start and end
  Nanos down_for = kSecond;  // after it has stopped
  std::shared_ptr<SimDisk> disk;
  MachineDisk machine_disk;         // of a durable machine
  std::shared_ptr<SimDisk> backup;  // of an earlier start; may be null
  size_t backup_applied = 0;        // what the machine's disk had then
  // While it is up, in the order in which they need each other.
  std::unique_ptr<StateMachine> machine;
  std::unique_ptr<TapMachine> tap;
  std::unique_ptr<Reactor> reactor;
  SimHost* host = nullptr;
  std::unique_ptr<Raft> raft;
};

class Cluster final {
 public:
  Cluster(World& world, Service& service, const SimOptions& options, std::function<void(uint64_t call)> on_apply);
  ~Cluster();
  Cluster(const Cluster&) = delete;

  void Start(Slot& slot);
  // `is_silent`: the machine is gone, nobody answers for it.
  void Crash(Slot& slot, bool is_silent);
  void StopCleanly(Slot& slot, Nanos down_for);
  void Transfer(Slot& leader, NodeId to);  // 0: to the best
  // The disk is gone, with everything on it: a new member takes the place, by an operator who keeps trying.
  // As what it was, or as a witness.
  void Lose(Slot& slot, bool becomes_witness = false);
  // The disk is emptied, and the node comes back on it under its old id; the operator readmits it.
  void Wipe(Slot& slot, Nanos down_for);
  // The node comes back from a backup of an earlier start. It is refused, and its disk emptied.
  void Restore(Slot& slot, Nanos down_for);
  // Do all others know on their disks that this is not the start that the backup would have?
  bool IsBackupKnown(Slot& slot);
  // A copy of such a backup starts at another address, beside its original, until it is refused. Returns the address.
  std::string StartDuplicate(Slot& slot);
  bool HasWitness() const;
  void RestartAfter(Slot& slot, Nanos delay);
  // Takes a member out and puts it back in.
  void RemoveAndAdd(Slot& slot);
  // A voter is a learner for a while.
  void DemoteAndPromote(Slot& slot, Nanos lasts);
  // A member dies, and starts at another address some time later.
  void Move(Slot& slot, Nanos down_for);
  // Another loss is safe only when the last one has been made good.
  bool IsWhole() const;

  std::vector<Slot*> slots();
  Slot& slot(size_t number) { return *slots_[number]; }
  size_t size() const { return slots_.size(); }
  Slot* Leader();  // one that thinks so; null if none
  std::vector<Slot*> Up();
  bool AllUp() const;
  // All are up, have applied the same, and nothing waits or is on its way.
  std::string Unrest();  // why not; empty if so
  // A call of the operator that should have ended: its deadline has long passed, or its node has ended.
  std::string Overdue() const;
  std::string Digest(Slot& slot) { return service_.Digest(*slot.machine); }

  Net& net() { return net_; }
  Oracle& oracle() { return oracle_; }
  void SetSchedule(const ScheduleFaults& faults) { schedule_ = faults; }
  void SetDisks(const DiskFaults& faults);
  // Of the nodes that start from now on.
  void UsePriorities() { has_priorities_ = true; }
  void UseLimits(const Limits& limits) { limits_ = limits; }
  void UseDurableMachines() { has_durable_machines_ = true; }
  TapFaults& taps() { return taps_; }

 private:
  struct OperatorCall {
    const Slot* slot = nullptr;
    uint64_t life = 0;
    Nanos begun = 0;
    const char* what = "";
  };

  void BackUp(Slot& slot);
  size_t Unsaved();
  void OnTurn(Slot& slot);
  void OnDuplicateStopped(Slot& slot);
  bool KnowsOthers(Slot& copy) const;
  void TakeApart(Slot& slot);
  bool IsChangeCommitted(const ConfigChange& change);
  const SimDisk* FindDisk(uint64_t node, uint64_t incarnation) const;
  Options OptionsFor(const Slot& slot) const;
  void ChangeMembers(ConfigChange change, std::function<void()> done);
  uint64_t BeginCall(const Slot& slot, const char* what);
  Peer PeerOf(const Slot& slot) const { return Peer(NodeId(slot.id), Addr(slot.address)); }

  World& world_;
  Service& service_;
  const SimOptions& options_;
  bool has_priorities_ = false;
  bool has_durable_machines_ = false;
  std::optional<Limits> limits_;  // instead of those of the options
  std::function<void(uint64_t)> on_apply_;
  Net net_;
  Oracle oracle_;
  ScheduleFaults schedule_;
  DiskFaults disk_faults_;
  TapFaults taps_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<Slot>> duplicates_;                             // that were ever started
  std::vector<std::pair<uint64_t, std::shared_ptr<SimDisk>>> lost_disks_;  // nobody reads them but the rules
  std::vector<Peer> first_members_;
  uint64_t next_id_ = 1;
  uint64_t next_port_ = 7001;  // of those that move
  size_t operations_ = 0;      // changes of the members that the operator has not finished
  size_t lost_ = 0;
  std::map<uint64_t, OperatorCall> operator_calls_;  // that have not ended
  uint64_t next_operator_call_ = 1;
};

}  // namespace ringraft::sim
