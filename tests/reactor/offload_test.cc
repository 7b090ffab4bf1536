#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support.h"

namespace ringraft::reactor {
namespace {

// Work waits here until the test releases it.
class Gate {
 public:
  void Open() {
    std::lock_guard lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }
  void Pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_open_ = false;
};

Task<void> RunAndCount(Host& host, std::function<void()> work, int& done) {
  auto run = host.RunBlocking(std::move(work));
  co_await run;
  ++done;
}

}  // namespace

TEST_CASE("blocking work runs on another thread, and its caller resumes in a turn") {
  auto host = MakeHost();
  std::thread::id worker;
  int done = 0;
  TurnScope scope(host->loop());
  scope.Start(RunAndCount(*host, [&worker] { worker = std::this_thread::get_id(); }, done));
  REQUIRE(TurnUntil(*host, [&] { return done == 1; }));
  CHECK(worker != std::this_thread::get_id());
}

TEST_CASE("work beyond the queue's limit waits for room, and all of it runs") {
  auto host = MakeHost();
  auto gate = std::make_shared<Gate>();
  auto ran = std::make_shared<std::atomic<int>>(0);
  int done = 0;
  const int count = static_cast<int>(OffloadPool::kMaxQueued) * 3;
  TurnScope scope(host->loop());
  for (int i = 0; i < count; ++i) {
    scope.Start(RunAndCount(*host, [gate, ran] { gate->Pass(); ++*ran; }, done));
  }
  host->Turn(Duration::zero());
  CHECK(done == 0);
  gate->Open();
  REQUIRE(TurnUntil(*host, [&] { return done == count; }));
  CHECK(*ran == count);
}

TEST_CASE("the caller may be dropped while its work waits, runs or has ended") {
  auto gate = std::make_shared<Gate>();
  auto ran = std::make_shared<std::atomic<int>>(0);
  int done = 0;
  {
    auto host = MakeHost();
    TurnScope scope(host->loop());
    for (int i = 0; i < 6; ++i) {
      scope.Start(RunAndCount(*host, [gate, ran] { gate->Pass(); ++*ran; }, done));
    }
    scope.Drop();
    gate->Open();
    REQUIRE(TurnUntil(*host, [&] { return *ran >= 2; }));
    TurnScope other(host->loop());
    for (int i = 0; i < 6; ++i) other.Start(RunAndCount(*host, [ran] { ++*ran; }, done));
    while (*ran < 8) std::this_thread::yield();
    other.Drop();  // all are done, some not delivered
  }
  CHECK(done == 0);
}

TEST_CASE("a destroyed host drops work that has not begun") {
  auto gate = std::make_shared<Gate>();
  auto ran = std::make_shared<std::atomic<int>>(0);
  int done = 0;
  std::thread opener;
  {
    auto host = MakeHost();
    {
      TurnScope scope(host->loop());
      for (int i = 0; i < 50; ++i) scope.Start(RunAndCount(*host, [gate, ran] { gate->Pass(); ++*ran; }, done));
    }
    opener = std::thread([gate] { gate->Open(); });
  }
  opener.join();
  CHECK(done == 0);
  CHECK(*ran <= 50);
}

}  // namespace ringraft::reactor
