// Where the node hands its writes, and what a write is. The storage thread is one implementation; the simulated disk
// another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ringraft/batch.h"
#include "ringraft/storage.h"

namespace ringraft::storage {

// Numbers grow by one from write to write; each write is whole on the disk before the next one is.
struct WriteRequest {
  uint64_t number = 0;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_after;
  std::vector<BatchRef> batches;
  // For Storage::Store(), before the rest and each durable by itself. A request may be this alone, with number 0:
  // nothing is reported then.
  std::vector<std::pair<std::string, std::string>> values;
};

class CommitQueue {
 public:
  virtual ~CommitQueue() = default;
  // Reactor thread; never blocks.
  virtual void Submit(WriteRequest request) = 0;
};

}  // namespace ringraft::storage
