// The one thread that makes things durable. It takes everything that waits as one commit (group commit), so the slower
// the disk, the larger the commits. What was submitted is written, whatever happens to the one who waits: durability
// cannot be cancelled. A failed commit is final: it is reported once, and nothing is written after it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "reactor/host.h"
#include "storage/commit_queue.h"

namespace ringraft::storage {

class StorageThread final : public CommitQueue {
 public:
  // Called on the reactor. `number`: this write and all before it are durable, or the first that failed, and why.
  using OnPersisted = std::function<void(uint64_t number, Result<void> result)>;

  struct Counters {
    uint64_t commits = 0;
    uint64_t writes = 0;  // requests that the commits were made of
    uint64_t bytes = 0;   // of batches
  };

  // All three must outlive the object; the mailbox also what is still in it then (one small node, which deletes itself
  // when it is delivered).
  StorageThread(Storage& storage, reactor::Mailbox& mailbox, OnPersisted on_persisted);
  // Any thread but the reactor's inside OnPersisted. Writes what was submitted, then returns. A report that the reactor
  // is just delivering may still run; none begins afterwards.
  ~StorageThread() override;
  StorageThread(const StorageThread&) = delete;

  void Submit(WriteRequest request) override;
  Counters counters() const;  // any thread

 private:
  class Report;

  void Run();
  bool TakeAll();  // waits for something; false at the end
  void CommitAll();
  // Merges taken_[begin..] into one commit; returns the end of what it merged.
  size_t CommitGroup(size_t begin);
  Result<void> SetValues(const WriteRequest& request);

  Storage& storage_;
  std::shared_ptr<Report> report_;

  std::mutex mutex_;  // held for a few instructions only; of the next three
  std::condition_variable news_;
  std::vector<WriteRequest> waiting_;
  bool is_stopping_ = false;

  // The thread's own; the vectors keep their buffers.
  std::vector<WriteRequest> taken_;
  std::vector<BatchRef> batches_;
  bool has_failed_ = false;

  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> bytes_{0};

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ringraft::storage
