// What must hold in the whole cluster: paper, Figure 3; and that nothing is told that is not durable. It sees what
// leaves the servers and what is on their disks, and remembers it over all their lives. Owned by the World.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/core.h"
#include "disk.h"

namespace ringraft::scenario {

// A server as the oracle looks at it.
struct Witness {
  uint64_t server = 0;
  const core::Core* core = nullptr;  // null while it is down
  const Disk* disk = nullptr;
};

class Oracle {
 public:
  // The first claim that did not hold; empty if all do.
  const std::string& violation() const { return violation_; }
  void Claim(bool holds, const std::string& what);

  // After each event of a server. `all` are the servers, ascending.
  void OnEvent(uint64_t server, const std::vector<Witness>& all);
  // A vote leaves: an answer, or a candidate's own with its first request.
  void OnVoteLeaves(uint64_t voter, Term term, uint64_t candidate, const Disk& disk);
  void OnAppendAnswerLeaves(const AppendEntriesArgs& args, const AppendEntriesResults& results, Term answered_in,
                            const Disk& disk);
  void OnApply(uint64_t server, const LogEntry& entry, Index applied_before, Index commit);
  // A caller is told that its command is done.
  void OnAnswer(Index index, Term term);
  // A start from what is on the disk: what a life has seen does not bind the next.
  void OnStart(uint64_t server);
  // Its disk is gone, and with it what may be claimed of it.
  void OnWipe(uint64_t server);
  void CheckLogMatching(const std::vector<Witness>& all);

  Index committed() const { return Index(committed_.size()); }

 private:
  struct Committed {
    Term term;
    Term by;  // the newest term that can have committed it: the observer's
  };
  void ObserveCommit(const Witness& witness, const std::vector<Witness>& all);
  void ObserveLeader(const Witness& witness);
  bool IsOnMajority(Index index, Term term, const core::Configuration& configuration,
                    const std::vector<Witness>& all) const;

  std::string violation_;
  std::map<Term, uint64_t> leader_of_term_;
  std::map<uint64_t, Term> led_term_;                    // in this life
  std::map<std::pair<uint64_t, Term>, uint64_t> votes_;  // that have left: (voter, term) -> candidate
  std::vector<Committed> committed_;                     // of entry i + 1
  std::vector<std::string> applied_;                     // what any machine applied as entry i + 1
  bool was_wiped_ = false;                               // then committed entries may be gone
};

}  // namespace ringraft::scenario
