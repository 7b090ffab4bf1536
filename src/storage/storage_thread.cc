#include "storage/storage_thread.h"

#include <pthread.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "base/try.h"

namespace ringraft::storage {
namespace {

// A commit holds its pages in memory until it is written, so a long queue is written in several commits.
constexpr size_t kMaxCommitBytes = size_t{64} << 20;

size_t BytesOf(const WriteRequest& request) {
  size_t bytes = 0;
  for (const BatchRef& batch : request.batches) bytes += batch.size();
  return bytes;
}

}  // namespace

// Carries results to the reactor. One mailbox node serves all results: the newest number stands for those before it.
//
//   storage thread: 1. store the result         2. if is_posted_ was false, set it and post
//   reactor:        1. is_posted_ = false       2. take the result
//
// A result that is stored between the reactor's two steps is taken at once, and the node is posted once more without
// need; no result is lost.
class StorageThread::Report final : public reactor::MailboxNode {
 public:
  Report(reactor::Mailbox& mailbox, OnPersisted on_persisted)
      : mailbox_(mailbox), on_persisted_(std::move(on_persisted)) {}

  // `self` keeps the node alive while it is in the mailbox.
  void Persisted(uint64_t number, const std::shared_ptr<Report>& self) {
    {
      std::lock_guard lock(mutex_);
      persisted_ = number;
    }
    Post(self);
  }
  void Failed(uint64_t number, Error error, const std::shared_ptr<Report>& self) {
    {
      std::lock_guard lock(mutex_);
      failed_ = number;
      error_ = std::move(error);
    }
    Post(self);
  }

  // The owner is being destroyed, perhaps from within the callback.
  void Abandon() { is_abandoned_ = true; }

  void OnDelivered() override {
    std::shared_ptr<Report> self = std::move(posted_);
    is_posted_.store(false);
    uint64_t persisted, failed;
    Error error;
    {
      std::lock_guard lock(mutex_);
      persisted = std::exchange(persisted_, 0);
      failed = std::exchange(failed_, 0);
      error = error_;
    }
    if (persisted != 0 && !is_abandoned_) on_persisted_(persisted, Success());
    if (failed != 0 && !is_abandoned_) on_persisted_(failed, error);
  }

 private:
  void Post(const std::shared_ptr<Report>& self) {
    if (is_posted_.exchange(true)) return;
    posted_ = self;
    mailbox_.Post(*this);
  }

  reactor::Mailbox& mailbox_;
  OnPersisted on_persisted_;  // reactor thread only
  std::atomic<bool> is_abandoned_{false};
  std::atomic<bool> is_posted_{false};
  std::shared_ptr<Report> posted_;  // this node, while it is in the mailbox
  std::mutex mutex_;
  uint64_t persisted_ = 0;
  uint64_t failed_ = 0;
  Error error_;
};

StorageThread::StorageThread(Storage& storage, reactor::Mailbox& mailbox, OnPersisted on_persisted)
    : storage_(storage),
      report_(std::make_shared<Report>(mailbox, std::move(on_persisted))),
      thread_([this] { Run(); }) {}

StorageThread::~StorageThread() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  news_.notify_one();
  thread_.join();
  report_->Abandon();
}

void StorageThread::Submit(WriteRequest request) {
  {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(request));
  }
  news_.notify_one();  // a system call only if the thread sleeps
}

StorageThread::Counters StorageThread::counters() const {
  Counters counters;
  counters.commits = commits_.load(std::memory_order_relaxed);
  counters.writes = writes_.load(std::memory_order_relaxed);
  counters.bytes = bytes_.load(std::memory_order_relaxed);
  return counters;
}

void StorageThread::Run() {
  pthread_setname_np(pthread_self(), "ringraft-disk");
  while (TakeAll()) CommitAll();
}

bool StorageThread::TakeAll() {
  std::unique_lock lock(mutex_);
  // Writes submitted before the destructor are still taken.
  while (waiting_.empty() && !is_stopping_) news_.wait(lock);
  std::swap(taken_, waiting_);
  return !taken_.empty();
}

void StorageThread::CommitAll() {
  for (size_t i = 0; i < taken_.size() && !has_failed_;) i = CommitGroup(i);
  taken_.clear();
}

Result<void> StorageThread::SetValues(const WriteRequest& request) {
  for (const auto& [key, value] : request.values) RINGRAFT_TRYV(storage_.Store().Set(key, value));
  return Success();
}

size_t StorageThread::CommitGroup(size_t begin) {
  if (!taken_[begin].values.empty()) {
    auto set = SetValues(taken_[begin]);
    if (!set) {
      has_failed_ = true;
      report_->Failed(std::max<uint64_t>(taken_[begin].number, 1), set.error(), report_);
      return taken_.size();
    }
    taken_[begin].values.clear();
    if (taken_[begin].number == 0) return begin + 1;
  }
  std::optional<HardState> hard_state;
  size_t bytes = 0, end = begin;
  batches_.clear();
  for (; end < taken_.size(); ++end) {
    WriteRequest& request = taken_[end];
    size_t more = BytesOf(request);
    // A truncation is the first write of its commit; after other writes it begins the next commit.
    if (end > begin && (request.truncate_after || !request.values.empty() || bytes + more > kMaxCommitBytes)) break;
    if (request.hard_state) hard_state = request.hard_state;
    for (BatchRef& batch : request.batches) batches_.push_back(std::move(batch));
    bytes += more;
  }
  uint64_t last = taken_[end - 1].number;
  bool is_durable = false;
  auto on_durable = [&, this] {
    is_durable = true;
    commits_.fetch_add(1, std::memory_order_relaxed);
    writes_.fetch_add(end - begin, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    report_->Persisted(last, report_);
  };
  auto committed = storage_.CommitEarly(hard_state, taken_[begin].truncate_after, batches_, std::ref(on_durable));
  batches_.clear();
  if (!committed) {
    has_failed_ = true;
    report_->Failed(is_durable ? last + 1 : taken_[begin].number, committed.error(), report_);
  }
  return end;
}

}  // namespace ringraft::storage
