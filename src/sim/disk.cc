#include "sim/disk.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"
#include "node/identity.h"

namespace ringraft::sim {

class SimDisk::Queue final : public storage::CommitQueue {
 public:
  explicit Queue(SimDisk& disk) : disk_(disk) {}
  // A clean stop writes what was submitted; a crash has emptied the queue before.
  ~Queue() override {
    for (const storage::WriteRequest& request : disk_.waiting_) disk_.Apply(request);
    disk_.waiting_.clear();
    disk_.in_flush_ = 0;
    ++disk_.life_;
    disk_.on_persisted_ = nullptr;
  }
  void Submit(storage::WriteRequest request) override {
    if (disk_.host_->is_crashed()) return;
    disk_.observer_.OnSubmitted(disk_.node_, request);
    disk_.waiting_.push_back(std::move(request));
    if (disk_.in_flush_ == 0) disk_.StartFlush();
  }

 private:
  SimDisk& disk_;
};

std::unique_ptr<storage::CommitQueue> SimDisk::MakeQueue(OnPersisted on_persisted) {
  RINGRAFT_ASSERT(host_ != nullptr && waiting_.empty());
  ++life_;
  on_persisted_ = std::move(on_persisted);
  return std::make_unique<Queue>(*this);
}

void SimDisk::StartFlush() {
  if (waiting_.empty()) return;
  Random& random = world_.random();
  in_flush_ = waiting_.size();
  if (in_flush_ > 1 && random.Chance(faults_.split)) in_flush_ = static_cast<size_t>(random.Between(1, in_flush_));
  Nanos time = static_cast<Nanos>(
      random.Between(static_cast<uint64_t>(faults_.least_flush), static_cast<uint64_t>(faults_.most_flush)));
  if (random.Chance(faults_.spike)) time += static_cast<Nanos>(random.Below(static_cast<uint64_t>(faults_.most_spike)));
  FinishFlushAt(std::max(world_.now() + time, stalled_until_));
}

void SimDisk::FinishFlushAt(Nanos when) {
  world_.At(when, [this, alive = std::weak_ptr<bool>(is_alive_), life = life_] {
    if (!alive.expired()) FinishFlush(life);
  });
}

void SimDisk::FinishFlush(uint64_t life) {
  if (life != life_) return;
  if (world_.now() < stalled_until_) {  // the stall began during the flush
    FinishFlushAt(stalled_until_);
    return;
  }
  if (failure_ != Errc::kOk) {
    const uint64_t number = waiting_.front().number;
    // It is unknown which part of a failed flush is on the disk.
    for (uint64_t kept = world_.random().Below(in_flush_ + 1); kept > 0; --kept) {
      Apply(waiting_.front());
      waiting_.pop_front();
    }
    waiting_.clear();
    ++life_;
    in_flush_ = 1;  // prevents further flushes
    host_->Deliver([this, life = life_, number, code = failure_] {
      if (life == life_ && on_persisted_) on_persisted_(std::max<uint64_t>(number, 1), code);
    });
    return;
  }
  uint64_t number = 0;
  for (; in_flush_ > 0; --in_flush_) {
    Apply(waiting_.front());
    number = std::max(number, waiting_.front().number);
    waiting_.pop_front();
  }
  world_.trace().Mix(1, node_, number, last().value());
  if (number != 0) {
    host_->Deliver([this, life, number] {
      if (life == life_ && on_persisted_) on_persisted_(number, Success());
    });
  }
  StartFlush();
}

void SimDisk::Apply(const storage::WriteRequest& request) {
  for (const auto& [key, value] : request.values) RINGRAFT_ASSERT(durable_->Store().Set(key, value).has_value());
  Result<void> done = durable_->Commit(request.hard_state, request.truncate_after, request.batches);
  if (!done)
    return world_.Fail("writes to a log are contiguous", fmt::format("node {}: {}", node_, done.error().message()));
  Remember(request.hard_state, request.truncate_after, request.batches);
  observer_.OnFlushed(node_, request);
}

void SimDisk::Remember(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                       std::span<const BatchRef> batches) {
  if (hard_state) hard_state_ = *hard_state;
  if (truncate_after && truncate_after->value() < terms_.size()) {
    terms_.resize(truncate_after->value());
    rotten_.erase(rotten_.upper_bound(truncate_after->value()), rotten_.end());
  }
  for (const BatchRef& batch : batches) terms_.insert(terms_.end(), batch.header().count, batch.term());
}

Identity SimDisk::identity() const {
  auto stored = node::DecodeIdentity(durable_->Store().Get(node::kIdentityKey).value());
  return stored ? stored.value() : Identity();
}

std::shared_ptr<SimDisk> SimDisk::Copy(uint64_t node) const {
  auto copy = std::make_shared<SimDisk>(world_, node, observer_);
  copy->is_copy_ = true;
  for (const char* key :
       {node::kIdentityKey, node::kProcessesKey, node::kMembersKey, node::kStartsKey, node::kGenerationKey})
    RINGRAFT_ASSERT(copy->durable_->Store().Set(key, durable_->Store().Get(key).value()).has_value());
  const std::vector<BatchRef> batches = durable_->Read(Index(1), SIZE_MAX).value();
  RINGRAFT_ASSERT(copy->durable_->Commit(hard_state_, std::nullopt, batches).has_value());
  copy->Remember(hard_state_, std::nullopt, batches);
  return copy;
}

size_t SimDisk::waiting_bytes() const {
  size_t bytes = 0;
  for (const storage::WriteRequest& request : waiting_)
    for (const BatchRef& batch : request.batches) bytes += batch.size();
  return bytes;
}

Term SimDisk::TermAt(Index index) const {
  return index && index.value() <= terms_.size() ? terms_[index.value() - 1] : Term(0);
}

Index SimDisk::last() const { return Index(terms_.size()); }

Result<RecoveredLog> SimDisk::Recover() { return durable_->Recover(); }

Result<void> SimDisk::Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                             std::span<const BatchRef> batches) {
  storage::WriteRequest request;
  request.hard_state = hard_state;
  request.truncate_after = truncate_after;
  request.batches.assign(batches.begin(), batches.end());
  observer_.OnSubmitted(node_, request);
  RINGRAFT_TRYV(durable_->Commit(hard_state, truncate_after, batches));
  Remember(hard_state, truncate_after, batches);
  observer_.OnFlushed(node_, request);
  return Success();
}

Result<std::vector<BatchRef>> SimDisk::Read(Index from, size_t max_bytes) const {
  RINGRAFT_TRY(batches, durable_->Read(from, max_bytes));
  if (rotten_.empty()) return batches;
  for (const BatchRef& batch : batches) {
    if (!rotten_.contains(batch.first().value())) continue;
    std::string bytes(batch.bytes());
    bytes[bytes.size() - 1 - world_.random().Below(bytes.size())] ^= static_cast<char>(1 << world_.random().Below(8));
    auto decoded = BatchRef::Decode(bytes);
    if (decoded) {
      world_.Fail("a damaged batch is detected by its checksum",
                  fmt::format("node {} decoded the damaged batch at index {}", node_, batch.first()));
      continue;
    }
    return Error(Errc::kCorrupt, fmt::format("the log is corrupt at index {}", batch.first()));
  }
  return batches;
}

// Some prefix of what was submitted has reached the disk, without a completion.
void SimDisk::Crash() {
  for (uint64_t kept = world_.random().Below(waiting_.size() + 1); kept > 0; --kept) {
    Apply(waiting_.front());
    waiting_.pop_front();
  }
  waiting_.clear();
  in_flush_ = 0;
  ++life_;
}

bool SimDisk::Rot(Index index) {
  auto batches = durable_->Read(index, 1);
  if (!batches || batches.value().empty()) return false;
  rotten_.insert(batches.value().front().first().value());
  return true;
}

}  // namespace ringraft::sim
