// The simulated disk of one node, and what stands for its storage thread. Commits are flushed in order, one group after
// the other, each in its own time. A crash keeps everything that was flushed, and of what had been handed over since
// any prefix.
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
  double spike = 0;  // of the flushes that take up to most_spike
  Nanos most_spike = 200 * kMilli;
  double split = 0;  // of the flushes that take only a part of what waits
};

// What the rules are checked against: everything that a disk holds, told as it happens.
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

  // --- Storage: the flushed state. Called before the node runs, and by its reads. ---
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
  // Whose turns hear of completions; before the node is run on it.
  void Attach(SimHost& host) { host_ = &host; }
  void SetFaults(const DiskFaults& faults) { faults_ = faults; }
  void Crash();
  void StallUntil(Nanos when) { stalled_until_ = std::max(stalled_until_, when); }
  void EndStall() { stalled_until_ = 0; }
  // The next flush fails with it; what it wrote may be there or not.
  void FailNext(Errc code) { failure_ = code; }
  void MendFailure() { failure_ = Errc::kOk; }
  // Flips a bit in the stored batch that holds the index; false if there is none.
  bool Rot(Index index);
  bool is_rotten() const { return !rotten_.empty(); }

  // Whose it is; zeros if it is empty.
  Identity identity() const;
  // What is flushed, as a backup has it; the observer hears of it as of this node.
  std::shared_ptr<SimDisk> Copy(uint64_t node) const;
  bool is_copy() const { return is_copy_; }

  size_t waiting_bytes() const;  // handed over and not flushed
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
  size_t in_flush_ = 0;  // the first so many of them
  DiskFaults faults_;
  Nanos stalled_until_ = 0;
  Errc failure_ = Errc::kOk;
  std::set<uint64_t> rotten_;  // first indexes of batches
  OnPersisted on_persisted_;
  uint64_t life_ = 0;  // raised by each queue and each end of one
  bool is_copy_ = false;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
};

}  // namespace ringraft::sim
