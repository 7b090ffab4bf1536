// The rules that hold in every run, checked as it goes: the safety properties of Raft over all nodes and all their
// lives, what may leave a node before it is durable, and the bounds of every queue. The rules are written against what
// can be seen from outside (disks, messages, answers), apart from the code that they check.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/core.h"
#include "ringraft/options.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace ringraft::sim {

class Oracle final : public DiskObserver {
 public:
  // One node in one of its lives, as the rules see it.
  struct Subject {
    uint64_t id = 0;
    const core::Core* core = nullptr;
    size_t waiting_bytes = 0;
    size_t waiting_calls = 0;
    const Limits* limits = nullptr;
    const SimDisk* disk = nullptr;
  };

  // The disk of a node as it is now (incarnation 0), or the one that had this directory.
  using DiskOf = std::function<const SimDisk*(uint64_t node, uint64_t incarnation)>;
  Oracle(World& world, DiskOf disk_of) : world_(world), disk_of_(std::move(disk_of)) {}

  // --- told by the cluster ---
  void OnStarted(const Subject& subject);
  void OnTurn(const Subject& subject);
  void OnEnded(uint64_t node);  // crash or stop
  // It starts from another disk, on which there is nothing of what it promised, or less. What it has voted is not
  // forgotten: on an older state of its own directory (a restored backup) it may not vote again.
  void OnDiskReplaced(uint64_t node);
  bool Knows(uint64_t node) const { return lives_.contains(node); }

  // --- told by the disks ---
  void OnSubmitted(uint64_t node, const storage::WriteRequest& request) override;
  void OnFlushed(uint64_t node, const storage::WriteRequest& request) override;

  // --- told by the taps: a reply is about to leave `node` ---
  void OnVoteReply(uint64_t node, const RequestVoteArgs& args, const RequestVoteResults& results);
  void OnAppendReply(uint64_t node, const AppendEntriesArgs& args, const AppendEntriesResults& results);
  // A vote request or an append is about to leave.
  void OnVoteRequest(uint64_t node, const RequestVoteArgs& args);
  void OnAppendRequest(uint64_t node, const AppendEntriesArgs& args);
  // The state machine is about to take it.
  void OnApply(uint64_t node, const LogEntry& entry);

  uint64_t committed() const { return committed_.size(); }
  uint64_t leaderships() const { return leader_of_term_.size(); }
  // Who runs on a copy beside its original is told of under this number plus its id. It has no say in anything.
  static constexpr uint64_t kDuplicate = 1'000'000;
  // The rules, by name, for the report.
  static std::vector<std::string_view> Rules();

 private:
  struct Life {
    Term term;
    NodeId leader;
    Role role = Role::kFollower;
    Index commit;
    Index applied;             // told by the core
    Index machine;             // the last entry that the machine was given
    std::vector<Index> given;  // in this turn: not yet compared with what is committed
    uint64_t turns = 0;
    core::Configuration members;  // at the end of the turn before, and where the log has them
    Index members_index;
  };
  struct Entry {
    Term term;
    uint64_t content = 0;
  };
  // What a node has in its memory, by what it has handed to its disk.
  struct Memory {
    std::vector<Term> terms;  // of entry i + 1
    HardState hard_state;
  };
  using Vote = std::tuple<uint64_t, uint64_t, uint64_t>;  // node, incarnation, term

  void CheckRole(const Subject& subject, Life& life);
  void CheckCommit(const Subject& subject, Life& life);
  void CheckGiven(uint64_t node, Life& life);
  void CheckBounds(const Subject& subject);
  void CheckPeerBounds(const Subject& subject);
  bool IsDuplicate(uint64_t node, bool has_say, const char* what);
  bool IsDurableOnMajority(const core::Configuration& members, Index index, Term term) const;
  bool IsDurableOnMajority(const std::vector<core::Member>& voters, Index index, Term term) const;
  bool IsApplied(const Entry& committed, const Entry& applied) const;
  void OnVote(uint64_t node, Term term, NodeId candidate);
  Memory* MemoryOf(uint64_t node);
  void Remember(uint64_t node, const BatchRef& batch);
  void CheckPredecessor(uint64_t node, const BatchRef& batch, Term before);

  World& world_;
  DiskOf disk_of_;
  std::map<uint64_t, Life> lives_;
  std::map<uint64_t, HardState> flushed_;                       // over all lives
  std::map<uint64_t, Memory> memories_;                         // of this life
  std::map<uint64_t, uint64_t> leader_of_term_;                 // term -> node
  std::map<Vote, uint64_t> votes_;                              // -> candidate
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> contents_;  // (index, term) -> hash, of everything ever written
  std::map<std::pair<uint64_t, uint64_t>, Term> before_;        // (index, term) -> the term of the entry before it
  size_t largest_batch_ = 0;                                    // in bytes
  std::vector<Entry> committed_;                                // of entry i + 1
  std::vector<Term> committed_in_;                              // the term in which it was
  std::map<uint64_t, Entry> applied_;                           // by index: the first that any machine was given
};

}  // namespace ringraft::sim
