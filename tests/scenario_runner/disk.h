// What Storage does, without a file. Part of a Server of the World; it survives crashes.
#pragma once

#include <string>
#include <vector>

#include "core/core.h"

namespace ringraft::scenario {

// The address of a server, as configurations name it.
Peer MakePeer(uint64_t server);
core::Configuration MakeConfiguration(const std::vector<uint64_t>& voters);
inline const GroupId kGroup(1);

class Disk {
 public:
  // What is wrong with the write, or nothing: then it is stored.
  std::string Commit(const core::Write& write);
  RecoveredLog Recover() const;
  std::vector<BatchRef> Read(Index from, size_t max_bytes) const;

  const HardState& hard_state() const { return hard_state_; }
  Index last_index() const { return history_.last_index(); }
  Term TermAt(Index index) const { return history_.TermAt(index); }
  bool Holds(Index index, Term term) const { return history_.Match(index, term); }
  const std::vector<TermRun>& terms() const { return history_.runs(); }

 private:
  HardState hard_state_;
  std::vector<BatchRef> batches_;
  core::TermHistory history_;
};

}  // namespace ringraft::scenario
