// What Storage does, without a file. It survives crashes.
#pragma once

#include <string>
#include <vector>

#include "core/core.h"

namespace ringraft::core {

class Disk {
 public:
  // Stores the write. Returns why it contradicts what is stored, or "".
  std::string Commit(const Write& write);
  RecoveredLog Recover() const;
  std::vector<BatchRef> Read(Index from, size_t max_bytes) const;

  const HardState& hard_state() const { return hard_state_; }
  const TermHistory& history() const { return history_; }
  const std::vector<BatchRef>& batches() const { return batches_; }

 private:
  HardState hard_state_;
  std::vector<BatchRef> batches_;
  TermHistory history_;
};

}  // namespace ringraft::core
