// Listens where a node meets the world, without changing what it does: its transport and its state machine.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coro/scope.h"
#include "ringraft/rpc.h"
#include "ringraft/state_machine.h"
#include "sim/host.h"
#include "sim/oracle.h"

namespace ringraft::sim {

struct TapFaults {
  double duplicate = 0;  // of the calls that are sent a second time, as by a retry after a lost answer
  double partial = 0;    // of the groups of entries of which the machine takes only the first few
};

// In front of the real transport.
class TapRpc final : public Rpc {
 public:
  TapRpc(std::unique_ptr<Rpc> inner, SimHost& host, Oracle& oracle, const TapFaults& faults);
  ~TapRpc() override;

  Result<void> Listen(const Addr& addr) override { return inner_->Listen(addr); }
  Result<void> Serve() override { return inner_->Serve(); }
  void Register(RpcService& service, std::function<Identity()> identity) override;
  void Close() override;
  Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) override;
  Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) override;
  Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) override;
  Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) override;

 private:
  class Service;
  Task<void> AppendAgain(Addr addr, AppendEntriesArgs args);
  Task<void> VoteAgain(Addr addr, RequestVoteArgs args);

  SimHost& host_;
  Oracle& oracle_;
  const TapFaults& faults_;
  coro::Scope duplicates_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Rpc> inner_;
};

// What a durable machine has on a disk of its own. Machines are volatile here: this stands for that disk, and a machine
// that is made anew gets all of it before its node starts.
class MachineDisk {
 public:
  void Add(const LogEntry& entry);
  Index last() const { return entries_.empty() ? Index(0) : entries_.back().index; }
  size_t size() const { return entries_.size(); }
  void Keep(size_t count) { entries_.resize(std::min(count, entries_.size())); }
  // False if the machine does not take what it has applied before.
  bool RestoreTo(StateMachine& machine) const;

 private:
  struct Entry {
    Index index;
    Term term;
    std::string command;
  };
  std::vector<Entry> entries_;
};

// In front of the user's machine. Commands carry the number of the call that brought them. Durable if it is given a
// disk for that; `log` is the node's.
class TapMachine final : public StateMachine {
 public:
  TapMachine(World& world, uint64_t node, Oracle& oracle, const TapFaults& faults, StateMachine& inner,
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
  const TapFaults& faults_;
  StateMachine& inner_;
  std::function<void(uint64_t)> on_apply_;
  MachineDisk* disk_;
  const SimDisk& log_;
  std::vector<LogEntry> entries_;
};

}  // namespace ringraft::sim
