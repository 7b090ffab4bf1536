#include "reactor/offload.h"

#include <memory>
#include <system_error>
#include <utility>

namespace ringraft::reactor {

// Lives until it is delivered or the pool is destroyed; its waiter may be destroyed first.
struct OffloadPool::Job final : base::ListHook, MailboxNode {
  Job(OffloadPool& owner, std::function<void()> function) : pool(owner), work(std::move(function)) {}
  ~Job() override {
    if (own_thread.joinable()) own_thread.join();
  }
  void OnDelivered() override;

  OffloadPool& pool;
  std::function<void()> work;
  Waiter* waiter = nullptr;  // reactor thread only
  std::thread own_thread;
};

class OffloadPool::Waiter final {
 public:
  enum class Where { kQueue, kOwnThread };

  Waiter(OffloadPool& pool, std::function<void()> work, Where where)
      : pool_(pool), job_(new Job(pool, std::move(work))), where_(where) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() {
    if (job_ == nullptr) return;
    job_->waiter = nullptr;
    if (!is_handed_over_ || (where_ == Where::kQueue && pool_.Unqueue(*job_))) delete job_;
  }

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    node_.handle = caller;
    job_->waiter = this;
    is_handed_over_ = true;
    where_ == Where::kQueue ? pool_.Enqueue(*job_) : pool_.RunOnOwnThread(*job_);
  }
  void await_resume() const noexcept {}

  void Forget() { job_ = nullptr; }
  void OnDone() {
    Forget();
    pool_.loop_.MakeReady(node_);
  }

 private:
  OffloadPool& pool_;
  Job* job_;  // null once it is done
  const Where where_;
  bool is_handed_over_ = false;
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

Task<void> OffloadPool::Run(std::function<void()> work) {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() < kMaxQueued) break;
    }
    auto woken = room_.Wait();
    co_await woken;
  }
  Waiter waiter(*this, std::move(work), Waiter::Where::kQueue);
  co_await waiter;
}

Task<void> OffloadPool::RunAlone(std::function<void()> work) {
  Waiter waiter(*this, std::move(work), Waiter::Where::kOwnThread);
  co_await waiter;
}

bool OffloadPool::Unqueue(Job& job) {
  {
    std::lock_guard lock(mutex_);
    if (std::erase(queue_, &job) == 0) return false;
  }
  room_.Notify();
  return true;
}

void OffloadPool::RunOnOwnThread(Job& job) {
  jobs_.PushBack(job);
  try {
    job.own_thread = std::thread([this, &job] {
      job.work();
      mailbox_.Post(job);
    });
  } catch (const std::system_error&) {
    // Out of threads: the queue is the next best.
    Enqueue(job);
  }
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
