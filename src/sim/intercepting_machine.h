// A state machine between a node and the user's: reports applied entries to the rules, and takes only a part of some
// groups of entries. Also simulates machines that are durable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/state_machine.h"
#include "sim/disk.h"
#include "sim/oracle.h"
#include "sim/world.h"

namespace ringraft::sim {

struct MachineFaults {
  double partial = 0;  // fraction of groups of entries of which the machine takes only the first few
};

// The entries that a durable machine has applied and stored. The user's machines are volatile: a new one gets all of
// these before its node starts.
class MachineDisk {
 public:
  void Add(const LogEntry& entry);
  Index last() const { return entries_.empty() ? Index(0) : entries_.back().index; }
  size_t size() const { return entries_.size(); }
  void Keep(size_t count) { entries_.resize(std::min(count, entries_.size())); }
  // False if the machine refuses entries that it has applied before.
  bool RestoreTo(StateMachine& machine) const;

 private:
  struct Entry {
    Index index;
    Term term;
    std::string command;
  };
  std::vector<Entry> entries_;
};

// Each command carries the number of the call that brought it.
class InterceptingMachine final : public StateMachine {
 public:
  // The machine is durable if `disk` is not null; `log` is the node's disk.
  InterceptingMachine(World& world, uint64_t node, Oracle& oracle, const MachineFaults& faults, StateMachine& inner,
                      std::function<void(uint64_t call)> on_apply, MachineDisk* disk, const SimDisk& log)
      : world_(world),
        node_(node),
        oracle_(oracle),
        faults_(faults),
        inner_(inner),
        on_apply_(std::move(on_apply)),
        disk_(disk),
        log_(log) {}

  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override;
  bool IsDurable() const override { return disk_ != nullptr; }
  Index AppliedIndex() const override { return disk_ != nullptr ? disk_->last() : Index(0); }

  static std::string Wrap(uint64_t call, std::string_view command);
  static constexpr size_t kPrefix = 8;

 private:
  World& world_;
  const uint64_t node_;
  Oracle& oracle_;
  const MachineFaults& faults_;
  StateMachine& inner_;
  std::function<void(uint64_t)> on_apply_;
  MachineDisk* disk_;
  const SimDisk& log_;
  std::vector<LogEntry> entries_;
};

}  // namespace ringraft::sim
