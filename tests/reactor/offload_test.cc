#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "support.h"

namespace ringraft::reactor {
namespace {

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

TEST_CASE("the caller may be dropped while its work waits, runs or has ended; what waits leaves the queue") {
  auto gate = std::make_shared<Gate>();
  auto begun = std::make_shared<std::atomic<int>>(0);
  auto ran = std::make_shared<std::atomic<int>>(0);
  int done = 0;
  {
    auto host = MakeHost();
    TurnScope scope(host->loop());
    for (int i = 0; i < 6; ++i) {
      scope.Start(RunAndCount(*host, [gate, begun, ran] { ++*begun; gate->Pass(); ++*ran; }, done));
    }
    while (*begun < 2) std::this_thread::yield();
    scope.Drop();
    gate->Open();
    REQUIRE(TurnUntil(*host, [&] { return *ran >= 2; }));
    TurnScope other(host->loop());
    for (int i = 0; i < 6; ++i) other.Start(RunAndCount(*host, [ran] { ++*ran; }, done));
    while (*ran < 8) std::this_thread::yield();
    CHECK(*begun == 2);
    CHECK(*ran == 8);
    other.Drop();  // all are done, some not delivered
  }
  CHECK(done == 0);
}

TEST_CASE("J1: work without a caller makes room, and the end of a node waits for no work that hangs") {
  auto gate = std::make_shared<Gate>();
  auto begun = std::make_shared<std::atomic<size_t>>(0);
  int done = 0;
  auto host = MakeHost();
  TurnScope scope(host->loop());
  {
    TurnScope abandoned(host->loop());
    for (size_t i = 0; i < OffloadPool::kMaxQueued + 2; ++i)
      abandoned.Start(RunAndCount(*host, [gate, begun] { ++*begun; gate->Pass(); }, done));
    while (*begun < OffloadPool::kMaxThreads) std::this_thread::yield();
    host->Turn(Duration::zero());
    scope.Start(RunAndCount(*host, [] {}, done));  // waits for room
    host->Turn(Duration::zero());
  }
  struct Alone {
    static Task<void> Run(Host& host, bool& is_done) {
      auto run = host.RunBlockingAlone([] {});
      co_await run;
      is_done = true;
    }
  };
  bool is_done = false;
  scope.Start(Alone::Run(*host, is_done));
  CHECK(TurnUntil(*host, [&] { return is_done; }));
  CHECK(done == 0);
  gate->Open();
  REQUIRE(TurnUntil(*host, [&] { return done == 1; }));
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
