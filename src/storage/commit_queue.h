// The queue to which a node submits its writes. Implemented by the storage thread and by the simulated disk.
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

// Numbers grow by one from write to write. A write is completely durable before any part of the next one is.
struct WriteRequest {
  uint64_t number = 0;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_after;
  std::vector<BatchRef> batches;
  // For Storage::Store(): written before the rest, each durable by itself. A request may consist of these alone; then
  // its number is 0, and its success is not reported.
  std::vector<std::pair<std::string, std::string>> values;
};

class CommitQueue {
 public:
  virtual ~CommitQueue() = default;
  // Reactor thread; never blocks. A submitted write cannot be cancelled.
  virtual void Submit(WriteRequest request) = 0;
};

// A Storage with its own replacement for the storage thread and for the random incarnation: the simulated disk.
class HostedStorage {
 public:
  // Called on the reactor. Success: write `number` and all before it are durable. Error: `number` is the first write
  // that failed.
  using OnPersisted = std::function<void(uint64_t number, Result<void> result)>;

  virtual ~HostedStorage() = default;
  virtual std::unique_ptr<CommitQueue> MakeQueue(OnPersisted on_persisted) = 0;
  virtual uint64_t RandomIncarnation() = 0;  // not 0
};

}  // namespace ringraft::storage
