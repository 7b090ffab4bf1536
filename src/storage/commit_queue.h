// Where the node hands its writes, and what a write is. The storage thread is one implementation; the simulated disk
// another.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
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

// A Storage that brings what stands for its thread, and for the randomness of its first creation: the simulated disk.
class HostedStorage {
 public:
  // Called on the reactor. `number`: this write and all before it are durable, or the first that failed, and why.
  using OnPersisted = std::function<void(uint64_t number, Result<void> result)>;

  virtual ~HostedStorage() = default;
  virtual std::unique_ptr<CommitQueue> MakeQueue(OnPersisted on_persisted) = 0;
  virtual uint64_t RandomIncarnation() = 0;  // not 0
};

}  // namespace ringraft::storage
