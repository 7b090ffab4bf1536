// The rules that hold in every run, checked throughout: the safety properties of Raft over all nodes and all their
// lives, what a node may send before it is durable, and the bounds of every queue. The rules use what can be observed
// from outside (disks, messages, answers), independently of the code that they check. A life is the time from a start
// of a node to its crash or stop.
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
  // One node in one of its lives, as the rules observe it.
  struct Subject {
    uint64_t id = 0;
    const core::Core* core = nullptr;
    size_t waiting_bytes = 0;
    size_t waiting_calls = 0;
    const Limits* limits = nullptr;
    const SimDisk* disk = nullptr;
  };

  // Returns the current disk of a node (incarnation 0), or the disk with that incarnation; null if there is none.
  using DiskOf = std::function<const SimDisk*(uint64_t node, uint64_t incarnation)>;
  Oracle(World& world, DiskOf disk_of) : world_(world), disk_of_(std::move(disk_of)) {}

  // --- called by the cluster ---
  void OnStarted(const Subject& subject);
  void OnTurn(const Subject& subject);
  void OnEnded(uint64_t node);  // crash or stop
  // The node gets another disk, with less of its log or nothing. Its votes are remembered: on an older state of its own
  // directory (a restored backup) it must not vote again.
  void OnDiskReplaced(uint64_t node);
  bool Knows(uint64_t node) const { return lives_.contains(node); }

  // --- called by the disks ---
  void OnSubmitted(uint64_t node, const storage::WriteRequest& request) override;
  void OnFlushed(uint64_t node, const storage::WriteRequest& request) override;

  // --- called by the interceptors ---
  // `node` is about to send a reply.
  void OnVoteReply(uint64_t node, const RequestVoteArgs& args, const RequestVoteResults& results);
  void OnAppendReply(uint64_t node, const AppendEntriesArgs& args, const AppendEntriesResults& results);
  // `node` is about to send a request.
  void OnVoteRequest(uint64_t node, const RequestVoteArgs& args);
  void OnAppendRequest(uint64_t node, const AppendEntriesArgs& args);
  // The state machine has applied the entry.
  void OnApply(uint64_t node, const LogEntry& entry);

  uint64_t committed() const { return committed_.size(); }
  uint64_t leaderships() const { return leader_of_term_.size(); }
  // A node on a copied disk beside its original is reported under this number plus its id. It must have no influence.
  static constexpr uint64_t kDuplicate = 1'000'000;
  // The names of all rules of a run.
  static std::vector<std::string_view> Rules();

 private:
  struct Life {
    Term term;
    NodeId leader;
    Role role = Role::kFollower;
    Index commit;
    Index applied;               // according to the core
    Index machine;               // the last entry that the state machine applied
    std::vector<Index> pending;  // applied in this turn, and not yet compared with the committed entries
    uint64_t turns = 0;
    core::Configuration members;  // at the end of the previous turn
    Index members_index;          // their index in the log
  };
  struct Entry {
    Term term;
    uint64_t content = 0;
  };
  // The log and hard state that a node has in memory, derived from what it has submitted to its disk.
  struct Memory {
    std::vector<Term> terms;  // of entry i + 1
    HardState hard_state;
  };
  using Vote = std::tuple<uint64_t, uint64_t, uint64_t>;  // node, incarnation, term

  void CheckRole(const Subject& subject, Life& life);
  void CheckCommit(const Subject& subject, Life& life);
  void CheckApplied(uint64_t node, Life& life);
  void CheckBounds(const Subject& subject);
  void CheckPeerBounds(const Subject& subject);
  bool IsDuplicate(uint64_t node, bool has_influence, const char* what);
  bool IsDurableOnMajority(const core::Configuration& members, Index index, Term term) const;
  bool IsDurableOnMajority(const std::vector<core::Member>& voters, Index index, Term term) const;
  static bool IsSame(const Entry& a, const Entry& b);
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
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> contents_;  // (index, term) -> hash, of all entries ever written
  std::map<std::pair<uint64_t, uint64_t>, Term> before_;        // (index, term) -> the term of the entry before it
  size_t largest_batch_ = 0;                                    // in bytes
  std::vector<Entry> committed_;                                // of entry i + 1
  std::vector<Term> committed_in_;                              // the term in which entry i + 1 was committed
  std::map<uint64_t, Entry> applied_;                           // by index: the first that any machine applied
};

}  // namespace ringraft::sim
