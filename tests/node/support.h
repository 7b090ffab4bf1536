// Shared by the tests of the node: executors, coroutines that a test owns, storages that block or fail.
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "core/configuration.h"
#include "node/identity.h"
#include "ringraft/executor.h"
#include "ringraft/raft.h"
#include "ringraft/storage.h"

namespace ringraft::test {

// As if the members had bootstrapped already, from a build that did not know data directories: any of them counts. For
// tests with other members that do not run.
inline void WriteFirstEntry(const Options& options, Storage& storage) {
  if (storage.Recover().value().last_index) return;
  Identity identity;
  identity.cluster = node::NamedCluster(options);
  identity.node = options.id;
  identity.incarnation = 1000 + options.id.value();
  RINGRAFT_ASSERT(storage.Store().Set(node::kIdentityKey, node::EncodeIdentity(identity, options)).has_value());
  core::Configuration configuration;
  configuration.voters.assign(options.initial_members.begin(), options.initial_members.end());
  const BatchRef batch = core::BootstrapBatch(configuration, GroupId(1));
  HardState hard_state;
  hard_state.term = Term(1);
  RINGRAFT_ASSERT(storage.Commit(hard_state, std::nullopt, std::span<const BatchRef>(&batch, 1)).has_value());
}

// A queue that one thread drains, by RunOne.
class QueueExecutor final : public Executor {
 public:
  void Post(Resumption resumption) noexcept override {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(resumption));
    has_some_.notify_one();
  }
  size_t size() const {
    std::lock_guard lock(mutex_);
    return queue_.size();
  }
  std::optional<Resumption> Take() {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) return std::nullopt;
    std::optional<Resumption> first(std::move(queue_.front()));
    queue_.pop_front();
    return first;
  }
  bool RunOne() {
    std::optional<Resumption> next = Take();
    if (next) (*next)();
    return next.has_value();
  }
  // Waits for one, at most a short while (the caller then tests its condition again), and runs it.
  void WaitAndRun() {
    {
      std::unique_lock lock(mutex_);
      has_some_.wait_for(lock, std::chrono::milliseconds(20), [&] { return !queue_.empty(); });
    }
    RunOne();
  }
  void DropAll() {
    while (std::optional<Resumption> next = Take()) next.reset();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable has_some_;
  std::deque<Resumption> queue_;
};

// A coroutine that starts at once and is destroyed by its owner, suspended or ended. Written by hand, as a user's might
// be.
class Owned {
 public:
  struct promise_type {
    Owned get_return_object() { return Owned(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };

  Owned() = default;
  explicit Owned(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() { Destroy(); }
  void Destroy() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }
  bool IsDone() const { return handle_ && handle_.done(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

using MaybeResult = std::optional<Result<Bytes>>;
using MaybeResults = std::optional<Result<std::vector<Bytes>>>;
using MaybeDone = std::optional<Result<void>>;

inline Owned CallOne(Raft& raft, std::string command, HandleOptions options, MaybeResult& result) {
  Result<Bytes> got = co_await raft.Handle(command, options);
  result = std::move(got);
}

inline Owned CallSpan(Raft& raft, std::vector<std::string> texts, HandleOptions options, MaybeResults& result) {
  std::vector<Command> commands(texts.begin(), texts.end());
  std::span<const Command> span(commands);
  Result<std::vector<Bytes>> got = co_await raft.Handle(span, options);
  result = std::move(got);
}

inline Owned Change(Raft& raft, std::vector<Peer> added, std::vector<NodeId> removed, MaybeDone& result) {
  auto call = raft.ChangeConfig(std::move(added), std::move(removed));
  Result<void> got = co_await call;
  result = std::move(got);
}

inline Owned AwaitDone(Raft& raft, HandleOptions options, MaybeDone& result) {
  Result<void> got = co_await raft.Done(options);
  result = std::move(got);
}

inline Errc CodeOf(const Result<Bytes>& result) { return result ? Errc::kOk : result.error().code(); }
inline Errc CodeOf(const Result<void>& result) { return result ? Errc::kOk : result.error().code(); }
inline Errc CodeOf(const MaybeResult& result) { return !result || *result ? Errc::kOk : result->error().code(); }

// Passes everything on to a memory storage, for subclasses that change a part of it.
class DecoratedStorage : public Storage {
 public:
  explicit DecoratedStorage(std::shared_ptr<Storage> inner = MakeMemoryStorage()) : inner_(std::move(inner)) {}
  Result<RecoveredLog> Recover() override { return inner_->Recover(); }
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    return inner_->Commit(hard_state, truncate_after, batches);
  }
  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    reads.fetch_add(1);
    return inner_->Read(from, max_bytes);
  }
  ringraft::Log& Log() override { return inner_->Log(); }
  ringraft::Store& Store() override { return inner_->Store(); }

  mutable std::atomic<int> reads{0};

 private:
  std::shared_ptr<Storage> inner_;
};

// A disk that can be held: while the gate is shut, no commit starts or returns.
class GatedStorage final : public DecoratedStorage {
 public:
  using DecoratedStorage::DecoratedStorage;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    std::unique_lock lock(mutex_);
    ++blocked_;
    opened_.wait(lock, [&] { return is_open_; });
    --blocked_;
    return DecoratedStorage::Commit(hard_state, truncate_after, batches);
  }
  void Shut() {
    std::lock_guard lock(mutex_);
    is_open_ = false;
  }
  void Open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  bool IsHolding() const {
    std::lock_guard lock(mutex_);
    return !is_open_ && blocked_ > 0;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = true;
  int blocked_ = 0;
};

// Shuts the gate for its lifetime: a test that fails must not leave a node waiting for its disk.
class ShutGate {
 public:
  explicit ShutGate(GatedStorage& storage) : storage_(storage) { storage_.Shut(); }
  ~ShutGate() { storage_.Open(); }
  ShutGate(const ShutGate&) = delete;

 private:
  GatedStorage& storage_;
};

// A disk that breaks: once `commits_left` has run out, every commit that the filter names fails.
class BreakingStorage final : public DecoratedStorage {
 public:
  using DecoratedStorage::DecoratedStorage;
  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    bool is_meant = only_votes.load() ? hard_state.has_value() && hard_state->vote : true;
    if (is_meant && commits_left.load() >= 0 && commits_left.fetch_sub(1) <= 0) {
      commits_left.store(0);
      return Error(Errc::kIo, "the disk is broken");
    }
    return DecoratedStorage::Commit(hard_state, truncate_after, batches);
  }
  std::atomic<int> commits_left{-1};    // < 0: it does not break
  std::atomic<bool> only_votes{false};  // only commits that carry a vote count
};

}  // namespace ringraft::test
