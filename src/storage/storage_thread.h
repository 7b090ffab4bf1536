// The one thread that makes writes durable. It takes all waiting writes as one commit (group commit), so the slower the
// disk, the larger the commits. Durability cannot be cancelled: every submitted write is written, whether or not its
// submitter still waits. A failed commit is final: it is reported once, and nothing is written after it.
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
  // Called on the reactor. Success: write `number` and all before it are durable. Error: `number` is the first write
  // that failed.
  using OnPersisted = std::function<void(uint64_t number, Result<void> result)>;

  struct Counters {
    uint64_t commits = 0;
    uint64_t writes = 0;  // requests that were merged into these commits
    uint64_t bytes = 0;   // of batches
  };

  // Precondition: storage and mailbox outlive the object. The mailbox may then still hold one small node, which deletes
  // itself when it is delivered.
  StorageThread(Storage& storage, reactor::Mailbox& mailbox, OnPersisted on_persisted);
  // Any thread, also from within OnPersisted. Writes what was submitted, then returns. A report that the reactor is
  // delivering at the moment may still run; none begins afterwards.
  ~StorageThread() override;
  StorageThread(const StorageThread&) = delete;

  void Submit(WriteRequest request) override;
  Counters counters() const;  // any thread

 private:
  class Report;

  void Run();
  bool TakeAll();  // waits for writes; returns false at the end
  void CommitAll();
  // Merges taken_[begin..] into one commit; returns the end of what it merged.
  size_t CommitGroup(size_t begin);
  Result<void> SetValues(const WriteRequest& request);

  Storage& storage_;
  std::shared_ptr<Report> report_;

  std::mutex mutex_;  // guards the next three; held for a few instructions only
  std::condition_variable news_;
  std::vector<WriteRequest> waiting_;
  bool is_stopping_ = false;

  // Of the thread alone; vectors that are members to reuse their buffers.
  std::vector<WriteRequest> taken_;
  std::vector<BatchRef> batches_;
  bool has_failed_ = false;

  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> bytes_{0};

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ringraft::storage
