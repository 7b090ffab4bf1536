// Rules of the whole cluster (paper, Figure 3), and that nothing is sent before it is durable. It sees the messages
// that leave the servers and the contents of their disks, over all restarts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core_driver/driven_core.h"

namespace ringraft::core {

using DrivenCores = std::map<uint64_t, DrivenCore*>;

class Oracle {
 public:
  // The first broken rule; empty if there is none.
  const std::string& violation() const { return violation_; }
  void Claim(bool holds, const char* rule) {
    if (!holds) Violate(rule);
  }
  void Violate(const std::string& rule) {
    if (violation_.empty()) violation_ = rule;
  }

  // After each event of a server that is up.
  void OnEvent(uint64_t server, const DrivenCores& all);
  // A vote is sent: a reply, or a candidate's own with its first request.
  void OnVoteSent(uint64_t voter, Term term, NodeId candidate, const Disk& disk);
  void OnAppendReplySent(const AppendEntriesArgs& args, const AppendEntriesResults& results, Term replied_in,
                         const Disk& disk);
  void OnApply(uint64_t server, const LogEntry& entry, Index applied_before, Index commit);
  // A caller gets the result of its command.
  void OnResult(Index index, Term term);
  // A restart forgets which terms the server has led.
  void OnStart(uint64_t server);
  // Its disk is emptied, and so are the guarantees that depend on it.
  void OnWipe(uint64_t server);
  void CheckLogMatching(const DrivenCores& all);

  Index committed() const { return Index(committed_.size()); }
  size_t leaderships() const { return leader_of_term_.size(); }

 private:
  struct Committed {
    Term term;
    Term by;  // the newest term that can have committed it: the observer's
  };
  void ObserveCommit(uint64_t server, const Core& core, const DrivenCores& all);
  void ObserveLeader(uint64_t server, const Core& core);

  std::string violation_;
  std::map<Term, uint64_t> leader_of_term_;
  std::map<uint64_t, Term> led_term_;                  // since the last start
  std::map<std::pair<uint64_t, Term>, NodeId> votes_;  // sent: (voter, term) -> candidate
  std::vector<Committed> committed_;                   // of entry i + 1
  std::vector<std::string> applied_;                   // by any machine as entry i + 1
  bool was_wiped_ = false;                             // committed entries may be lost
};

}  // namespace ringraft::core
