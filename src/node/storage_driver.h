// Connects the core to the storage: hands writes over, wakes the coroutines that wait for them, and reads the log off
// the reactor. Reactor only; owned by the node.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/core.h"
#include "coro/signal.h"
#include "node/node_control.h"
#include "reactor/host.h"
#include "ringraft/batch.h"
#include "ringraft/storage.h"
#include "ringraft/task.h"
#include "storage/commit_queue.h"

namespace ringraft::node {

class StorageDriver {
 public:
  // `storage` has been recovered.
  StorageDriver(std::shared_ptr<Storage> storage, reactor::Host& host, core::Core& core, NodeControl& control);

  // --- writes ---
  // Hands over all writes that the core has gathered. A failed write fails the node.
  void SubmitWrites();
  // Completes when the write of this number is on disk; never if the disk fails. Cancelling it cancels no write.
  Task<void> Durable(core::WriteNumber number);

  // Storage::Store(), besides the log. With the core's next write, which the caller knows to come:
  void StoreWithNextWrite(const char* key, std::string value);
  // With a write of the core, made if none is waiting; completes when it is on disk, as `Durable` does.
  Task<void> StoreDurably(const char* key, std::string value);
  // By itself and unreported. No effect once the node stops.
  void StoreUnreported(const char* key, std::string value);

  // --- reads ---
  // Batches from the one that holds `from`, at least one. Errors: kCorrupt if there is none; those of Storage::Read.
  // A read continues when this is cancelled, and its result is dropped.
  Task<Result<std::vector<BatchRef>>> ReadLog(Index from, size_t max_bytes);

  // --- stop ---
  // From here on nothing is stored, and no result is reported.
  void Close() { is_closed_ = true; }
  // Completes when everything that was handed over is on disk: durability cannot be cancelled.
  Task<void> FinishWrites();
  Task<void> ReleaseStorage();

 private:
  void OnPersisted(core::WriteNumber number, Result<void> result);

  reactor::Host& host_;
  core::Core& core_;
  NodeControl& control_;
  std::shared_ptr<Storage> storage_;
  std::unique_ptr<storage::CommitQueue> queue_;
  coro::Signal persisted_;                                   // a write has become durable
  std::vector<std::pair<std::string, std::string>> values_;  // to be stored along with the next write
  bool is_closed_ = false;
};

}  // namespace ringraft::node
