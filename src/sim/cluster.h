// The nodes of one run: their starts, crashes and stops, their disks, which outlive them, and the operator that
// replaces what is lost.
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
#include "sim/intercepting_machine.h"
#include "sim/intercepting_rpc.h"
#include "sim/net.h"
#include "sim/oracle.h"
#include "sim/world.h"

namespace ringraft::sim {

// A machine that runs a node. The id of its node changes when the disk is lost and a new member replaces it.
class Slot final : public Logger {
 public:
  enum class State { kDown, kUp, kStopping, kLost };

  Slot(World& world, size_t number) : world_(world), number(number) {}
  void Write(LogLevel level, std::string_view message) override;
  // The number under which the rules know the node.
  uint64_t subject() const { return is_duplicate ? Oracle::kDuplicate + id : id; }

  World& world_;
  const size_t number;
  uint64_t id = 0;
  std::string address;
  State state = State::kDown;
  bool is_joiner = false;  // not one of the initial members
  bool is_witness = false;
  bool is_duplicate = false;  // runs on a copy of another slot's disk, under the id of that slot
  uint64_t life = 0;          // increases at each start and end
  Nanos down_for = kSecond;   // after the node has stopped by itself
  std::shared_ptr<SimDisk> disk;
  MachineDisk machine_disk;         // of a durable machine
  std::shared_ptr<SimDisk> backup;  // of an earlier start; may be null
  size_t backup_applied = 0;        // the size of machine_disk at that time
  // Set while the node is up; each needs those before it.
  std::unique_ptr<StateMachine> machine;
  std::unique_ptr<InterceptingMachine> intercepting_machine;
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
  // `is_silent`: the machine is gone, and its peers get no resets.
  void Crash(Slot& slot, bool is_silent);
  void StopCleanly(Slot& slot, Nanos down_for);
  void Transfer(Slot& leader, NodeId to);  // 0: to the best candidate
  // The disk is lost with its contents. The operator replaces the node by a new member, a voter or a witness, and
  // retries until that is done.
  void Lose(Slot& slot, bool becomes_witness = false);
  // The disk is emptied, and the node comes back under its old id; the operator readmits it.
  void Wipe(Slot& slot, Nanos down_for);
  // The node comes back from a backup of an earlier start. It is refused, and then its disk is emptied.
  void Restore(Slot& slot, Nanos down_for);
  // Whether there is a backup of an earlier start, and the count of the current start is on the disks of all other
  // nodes.
  bool IsBackupKnown(Slot& slot);
  // Starts a node on a copy of such a backup, at another address, beside its original, until it is refused. Returns the
  // address.
  std::string StartDuplicate(Slot& slot);
  bool HasWitness() const;
  void RestartAfter(Slot& slot, Nanos delay);
  // Removes a member and adds it again.
  void RemoveAndAdd(Slot& slot);
  // Makes a voter a learner for a while.
  void DemoteAndPromote(Slot& slot, Nanos lasts);
  // A member crashes, and starts at another address some time later.
  void Move(Slot& slot, Nanos down_for);
  // Whether everything lost has been replaced, and no change of members is in progress. Otherwise another loss is
  // unsafe.
  bool IsWhole() const;

  std::vector<Slot*> slots();
  Slot& slot(size_t number) { return *slots_[number]; }
  size_t size() const { return slots_.size(); }
  Slot* Leader();  // the node that considers itself leader, in the newest term; null if none
  std::vector<Slot*> Up();
  bool AllUp() const;
  // Returns why the cluster is not at rest; empty if it is: all nodes are up and have applied the same entries, no call
  // waits, and nothing is in flight.
  std::string Unrest();
  // Returns a call of the operator that should have ended, since its deadline is long past or its node has ended; empty
  // if there is none.
  std::string Overdue() const;
  std::string Digest(Slot& slot) { return service_.Digest(*slot.machine); }

  Net& net() { return net_; }
  Oracle& oracle() { return oracle_; }
  void SetSchedule(const ScheduleFaults& faults) { schedule_ = faults; }
  void SetDisks(const DiskFaults& faults);
  // For nodes that start after this.
  void UsePriorities() { has_priorities_ = true; }
  void UseLimits(const Limits& limits) { limits_ = limits; }
  void UseDurableMachines() { has_durable_machines_ = true; }
  RpcFaults& rpc_faults() { return rpc_faults_; }
  MachineFaults& machine_faults() { return machine_faults_; }

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
  std::optional<Limits> limits_;  // replace those of the options
  std::function<void(uint64_t)> on_apply_;
  Net net_;
  Oracle oracle_;
  ScheduleFaults schedule_;
  DiskFaults disk_faults_;
  RpcFaults rpc_faults_;
  MachineFaults machine_faults_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<Slot>> duplicates_;                          // all that were ever started
  std::vector<std::pair<uint64_t, std::shared_ptr<SimDisk>>> lost_disks_;  // read only by the rules
  std::vector<Peer> first_members_;
  uint64_t next_id_ = 1;
  uint64_t next_port_ = 7001;  // of nodes that move
  size_t operations_ = 0;      // unfinished changes of members by the operator
  size_t lost_ = 0;            // disks that are lost, and not yet replaced or refused
  std::map<uint64_t, OperatorCall> operator_calls_;  // in flight
  uint64_t next_operator_call_ = 1;
};

}  // namespace ringraft::sim
