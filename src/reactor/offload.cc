#include "reactor/offload.h"

#include <memory>
#include <system_error>
#include <utility>

namespace ringraft::reactor {

// Lives until it is delivered or the pool is destroyed; its waiter may be destroyed first.
struct OffloadPool::Job final : base::ListHook, MailboxNode {
  Job(OffloadPool& owner, std::function<void()> function) : pool(owner), work(std::move(function)) {}
  ~Job() override = default;
  void OnDelivered() override;

  OffloadPool& pool;
  std::function<void()> work;
  Waiter* waiter = nullptr;  // reactor thread only
};

class OffloadPool::Waiter final : private coro::TimerNode {
 public:
  Waiter(OffloadPool& pool, std::function<void()> work, TimePoint deadline)
      : pool_(pool), job_(new Job(pool, std::move(work))), deadline_(deadline) {}
  ~Waiter() override {
    if (job_ == nullptr) return;
    job_->waiter = nullptr;
    if (!is_enqueued_) delete job_;
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    job_->waiter = this;
    is_enqueued_ = true;
    pool_.Enqueue(*job_);
    if (deadline_ != TimePoint::max()) pool_.loop_.Schedule(*this, deadline_);
  }
  bool await_resume() const noexcept { return job_ == nullptr; }

  void Forget() { job_ = nullptr; }
  void OnDone() {
    Forget();
    pool_.loop_.Cancel(*this);
    pool_.loop_.MakeReady(node_);
  }

 private:
  void OnTimer() override { pool_.loop_.MakeReady(node_); }

  OffloadPool& pool_;
  Job* job_;  // null once it is done
  bool is_enqueued_ = false;
  TimePoint deadline_;
  coro::ReadyNode node_;
};

void OffloadPool::Job::OnDelivered() {
  std::unique_ptr<Job> self(this);
  pool.room_.Notify();
  if (waiter != nullptr) waiter->OnDone();
}

OffloadPool::~OffloadPool() {
  {
    std::lock_guard lock(mutex_);
    is_closing_ = true;
    queue_.clear();
  }
  has_work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  // Dropped, or done and not delivered: the mailbox is destroyed with the host and delivers nothing more.
  while (Job* job = jobs_.PopFront()) {
    if (job->waiter != nullptr) job->waiter->Forget();
    delete job;
  }
}

Task<bool> OffloadPool::Run(std::function<void()> work, TimePoint deadline) {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() < kMaxQueued) break;
    }
    auto woken = room_.WaitUntil(deadline);
    const bool has_room = co_await woken;
    if (!has_room) co_return false;
  }
  Waiter waiter(*this, std::move(work), deadline);
  const bool is_done = co_await waiter;
  co_return is_done;
}

void OffloadPool::Enqueue(Job& job) {
  jobs_.PushBack(job);
  std::unique_lock lock(mutex_);
  if (idle_threads_ <= queue_.size() && threads_.size() < kMaxThreads) {
    try {
      threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      // Out of threads. One is enough; without any the work blocks the reactor.
      if (threads_.empty()) {
        lock.unlock();
        job.work();
        mailbox_.Post(job);
        return;
      }
    }
  }
  queue_.push_back(&job);
  has_work_.notify_one();
}

void OffloadPool::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_threads_;
    has_work_.wait(lock, [this] { return is_closing_ || !queue_.empty(); });
    --idle_threads_;
    if (is_closing_) return;
    Job* job = queue_.front();
    queue_.pop_front();
    lock.unlock();
    job->work();
    mailbox_.Post(*job);
    lock.lock();
  }
}

}  // namespace ringraft::reactor
