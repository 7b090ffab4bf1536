// A Core with its disk. Its owner says when writes end, and delivers messages.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/core.h"
#include "core_driver/disk.h"

namespace ringraft::core {

class DrivenCore {
 public:
  // What may happen only when a write is durable.
  struct Gated {
    WriteNumber gate = 0;
    std::string what;  // for reports
    std::function<void()> action;
  };

  Core* operator->() const { return core.get(); }
  bool IsUp() const { return core != nullptr; }

  // A new Core from what is on the disk. Returns why that cannot be recovered, or "".
  std::string Start(const CoreOptions& options, Index applied, TimePoint now);
  // Everything in memory is lost. The oldest `written` of the unfinished writes reach the disk.
  void Crash(size_t written = 0);
  // Moves all writes of the core to `writing`.
  void TakeWrites(TimePoint now);
  // Stores the oldest `count` writes, and reports the last of them to the core. Returns the actions that this releases,
  // for the caller to run.
  std::vector<Gated> FinishWrites(TimePoint now, size_t count = 1);
  // Runs the action now if its gate is durable, and otherwise leaves it to FinishWrites.
  void WhenDurable(Gated gated);

  std::unique_ptr<Core> core;  // null while it is down
  uint64_t life = 0;           // incremented by each start and crash
  Disk disk;
  std::deque<Write> writing;  // taken, not yet on the disk
  std::vector<Gated> gated;
  Index machine;        // the last entry that the state machine has applied
  std::string problem;  // of the first write that contradicts the disk
};

}  // namespace ringraft::core
