// The simulated disk of one node, with its storage thread. Commits are flushed in order, one group after another; the
// duration of each flush is drawn. A crash keeps everything that was flushed, and some prefix of what was submitted
// since.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/host.h"
#include "sim/world.h"
#include "storage/commit_queue.h"
#include "storage/memory_storage.h"

namespace ringraft::sim {

struct DiskFaults {
  Nanos least_flush = 100 * kMicro;
  Nanos most_flush = 800 * kMicro;
  double spike = 0;  // fraction of flushes that take up to most_spike longer
  Nanos most_spike = 200 * kMilli;
  double split = 0;  // fraction of flushes that take only a part of the waiting commits
};

// Receives everything that is written to disks, as it happens. The rules are checked against it.
class DiskObserver {
 public:
  virtual ~DiskObserver() = default;
  virtual void OnSubmitted(uint64_t node, const storage::WriteRequest& request) = 0;
  virtual void OnFlushed(uint64_t node, const storage::WriteRequest& request) = 0;
};

class SimDisk final : public Storage, public storage::HostedStorage {
 public:
  SimDisk(World& world, uint64_t node, DiskObserver& observer)
      : world_(world), node_(node), observer_(observer), durable_(std::make_unique<storage::MemoryStorage>()) {}

  // --- Storage: the flushed state. Called before the node runs, and for its reads. ---
  Result<RecoveredLog> Recover() override;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override;
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override;
  ringraft::Log& Log() override { return durable_->Log(); }
  ringraft::Store& Store() override { return durable_->Store(); }

  // --- HostedStorage ---
  std::unique_ptr<storage::CommitQueue> MakeQueue(OnPersisted on_persisted) override;
  uint64_t RandomIncarnation() override { return world_.random().Next() | 1; }

  // --- the simulator's side ---
  // Sets the host that gets the completions, in its turns. Called before the node starts.
  void Attach(SimHost& host) { host_ = &host; }
  void SetFaults(const DiskFaults& faults) { faults_ = faults; }
  void Crash();
  void StallUntil(Nanos when) { stalled_until_ = std::max(stalled_until_, when); }
  void EndStall() { stalled_until_ = 0; }
  // The next flush fails with `code`; some prefix of it may be on the disk.
  void FailNext(Errc code) { failure_ = code; }
  void MendFailure() { failure_ = Errc::kOk; }
  // Flips a bit in the stored batch that holds the index; false if there is none.
  bool Rot(Index index);
  bool is_rotten() const { return !rotten_.empty(); }

  // The identity of the node that owns it; zeros if the disk is empty.
  Identity identity() const;
  // Copies the flushed state, as a backup does. The observer gets the copy's writes under the number `node`.
  std::shared_ptr<SimDisk> Copy(uint64_t node) const;
  bool is_copy() const { return is_copy_; }

  size_t waiting_bytes() const;  // submitted and not flushed
  Term TermAt(Index index) const;
  Index last() const;
  HardState hard_state() const { return hard_state_; }

 private:
  class Queue;

  void StartFlush();
  void FinishFlushAt(Nanos when);
  void FinishFlush(uint64_t life);
  void Apply(const storage::WriteRequest& request);
  void Remember(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                std::span<const BatchRef> batches);

  World& world_;
  const uint64_t node_;
  DiskObserver& observer_;
  SimHost* host_ = nullptr;
  std::unique_ptr<storage::MemoryStorage> durable_;
  HardState hard_state_;     // of durable_
  std::vector<Term> terms_;  // of entry i + 1 of durable_
  std::deque<storage::WriteRequest> waiting_;
  size_t in_flush_ = 0;  // how many of waiting_, from its front
  DiskFaults faults_;
  Nanos stalled_until_ = 0;
  Errc failure_ = Errc::kOk;
  std::set<uint64_t> rotten_;  // first indexes of batches
  OnPersisted on_persisted_;
  uint64_t life_ = 0;  // increases when a queue is made, and when it ends
  bool is_copy_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim
