// The public reactor: a host, the thread that drives it, and what other threads have posted to it.
#include "ringraft/reactor.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/try.h"
#include "coro/scope.h"
#include "reactor/host.h"
#include "reactor/ring_host.h"

namespace ringraft {
namespace {
// The longest wait of a turn that has nothing to do; the value does not matter.
constexpr Duration kLongWait = std::chrono::hours(1);
}  // namespace

struct Reactor::Impl final : reactor::MailboxNode {
  explicit Impl(reactor::Host& host) : host(host), tasks(host.loop()) {}
  ~Impl() override = default;

  struct Item {
    std::function<void()> function;
    Task<void> task;  // set if there is no function
  };

  void Add(Item item) {
    {
      std::lock_guard lock(mutex);
      items.push_back(std::move(item));
      if (is_posted) return;
      is_posted = true;
    }
    host.mailbox().Post(*this);
  }

  void OnDelivered() override {
    std::vector<Item> now;
    {
      std::lock_guard lock(mutex);
      now.swap(items);
      is_posted = false;
    }
    for (Item& item : now) {
      if (item.function) {
        item.function();
        item.function = nullptr;
      } else {
        tasks.Start(std::move(item.task));
      }
    }
  }

  void Run() {
    is_driven.store(true, std::memory_order_release);
    while (!is_stopping.load(std::memory_order_acquire)) host.Turn(kLongWait);
    is_driven.store(false, std::memory_order_release);
  }

  reactor::Host& host;
  coro::Scope tasks;
  std::atomic<bool> is_stopping{false};
  std::atomic<bool> is_driven{false};
  std::thread thread;

  std::mutex mutex;
  std::vector<Item> items;
  bool is_posted = false;  // this node is in the mailbox
};

Result<std::unique_ptr<Reactor>> Reactor::Create(ReactorOptions options) {
  Logger& logger = options.logger != nullptr ? *options.logger : StderrLogger();
  RINGRAFT_TRY(host, reactor::RingHost::Create(options.ring_entries, logger));
  return std::make_unique<Reactor>(std::unique_ptr<reactor::Host>(std::move(host)));
}

Reactor::Reactor(std::unique_ptr<reactor::Host> host)
    : host_(std::move(host)), impl_(std::make_unique<Impl>(*host_)) {}

Reactor::~Reactor() {
  RINGRAFT_ASSERT(!IsInTurn());
  Stop();
  if (impl_->thread.joinable()) impl_->thread.join();
  {
    // Entered: the coroutines may hold KJ objects. What they post meanwhile is dropped with the rest.
    coro::Loop::Entered entered(host_->loop());
    impl_->tasks.Cancel();
    std::vector<Impl::Item> dropped;
    {
      std::lock_guard lock(impl_->mutex);
      dropped.swap(impl_->items);
      impl_->is_posted = true;  // the mailbox is not drained again
    }
    dropped.clear();
  }
  impl_.reset();
  host_.reset();
}

Result<void> Reactor::Start() {
  if (impl_->thread.joinable()) return Error(Errc::kRanRepeatedly, "the reactor already has a thread of its own");
  impl_->is_driven.store(true, std::memory_order_release);  // from here on, not only once the thread runs
  try {
    impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
  } catch (const std::system_error& error) {
    impl_->is_driven.store(false, std::memory_order_release);
    return Error(Errc::kIo, std::string("cannot start the reactor's thread: ") + error.what());
  }
  return Success();
}

void Reactor::Run() { impl_->Run(); }

void Reactor::RunOnce(Duration max_wait) { host_->Turn(max_wait); }

void Reactor::Stop() {
  impl_->is_stopping.store(true, std::memory_order_release);
  host_->Interrupt();
}

void Reactor::Post(std::function<void()> function) {
  if (!function) return;
  impl_->Add(Impl::Item{std::move(function), Task<void>()});
}

void Reactor::Spawn(Task<void> task) {
  RINGRAFT_ASSERT(task);
  impl_->Add(Impl::Item{nullptr, std::move(task)});
}

bool Reactor::IsDriven() const { return impl_->is_driven.load(std::memory_order_acquire); }

bool Reactor::IsInTurn() const { return coro::Loop::Current() == &host_->loop(); }

Task<void> Reactor::Sleep(Duration duration) {
  coro::Loop& loop = host_->loop();
  auto sleep = loop.SleepUntil(loop.Now() + duration);
  co_await sleep;
}

}  // namespace ringraft
