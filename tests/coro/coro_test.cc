// Task, Scope, Signal and the bridge to KJ: lifetimes and cancellation.
#include <doctest/doctest.h>
#include <kj/debug.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "coro/kj_await.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "manual_time.h"
#include "ringraft/task.h"

namespace ringraft::coro {
namespace {

using std::chrono::milliseconds;

struct CoroFixture {
  ManualTime time;
  Loop loop{time};
  std::vector<int> story;
  void Turn() {
    loop.Turn([] {});
  }
};

// Counts its living instances.
class Life {
 public:
  explicit Life(int& count) : count_(&count) { ++*count_; }
  Life(const Life& other) : count_(other.count_) { ++*count_; }
  ~Life() { --*count_; }

 private:
  int* count_;
};

Task<int> Value(int value) { co_return value; }

Task<void> Sum(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    auto value = Value(i);
    sum += co_await value;
  }
}

Task<int> Throwing() {
  throw std::runtime_error("as it must be");
  co_return 1;
}

Task<void> Catching(bool& is_caught) {
  auto task = Throwing();
  try {
    co_await task;
  } catch (const std::runtime_error&) {
    is_caught = true;
  }
}

Task<void> WaitOnce(Signal& signal, std::vector<int>& story, int id, Life life) {
  auto woken = signal.Wait();
  co_await woken;
  story.push_back(id);
}

Task<void> WaitWithLimit(Signal& signal, TimePoint until, std::vector<int>& story) {
  auto woken = signal.WaitUntil(until);
  const bool is_notified = co_await woken;
  story.push_back(is_notified ? 1 : 0);
}

Task<void> Outer(Signal& signal, std::vector<int>& story, Life life) {
  auto inner = WaitOnce(signal, story, 7, life);
  co_await inner;
}

Task<void> JoinAndTell(Scope& scope, std::vector<int>& story) {
  auto join = scope.Join();
  co_await join;
  story.push_back(100);
}

}  // namespace

TEST_CASE_FIXTURE(CoroFixture, "H4: a million awaits that complete at once use constant stack") {
  Scope scope(loop);
  int64_t sum = 0;
  scope.Start(Sum(1'000'000, sum));
  CHECK(scope.size() == 0);
  CHECK(sum == 499'999'500'000);
}

TEST_CASE_FIXTURE(CoroFixture, "an exception reaches the awaiting coroutine") {
  Scope scope(loop);
  bool is_caught = false;
  scope.Start(Catching(is_caught));
  CHECK(is_caught);
}

TEST_CASE_FIXTURE(CoroFixture, "a task that never starts destroys its parameters") {
  int living = 0;
  Signal signal(loop);
  {
    auto task = WaitOnce(signal, story, 1, Life(living));
    CHECK(living == 1);
  }
  CHECK(living == 0);
}

TEST_CASE_FIXTURE(CoroFixture, "a signal wakes all its waiters in order, and none that came later") {
  Signal signal(loop);
  Scope scope(loop);
  int living = 0;
  scope.Start(WaitOnce(signal, story, 1, Life(living)));
  scope.Start(WaitOnce(signal, story, 2, Life(living)));
  signal.Notify();
  scope.Start(WaitOnce(signal, story, 3, Life(living)));
  CHECK(story.empty());
  Turn();
  CHECK(story == std::vector<int>{1, 2});
  CHECK(living == 1);
  signal.Notify();
  Turn();
  CHECK(story == std::vector<int>{1, 2, 3});
  CHECK(living == 0);
}

TEST_CASE_FIXTURE(CoroFixture, "a wait with a deadline reports whether it was notified") {
  Signal signal(loop);
  Scope scope(loop);
  scope.Start(WaitWithLimit(signal, loop.Now() + milliseconds(10), story));
  Turn();
  CHECK(story.empty());
  time.now += milliseconds(10);
  Turn();
  CHECK(story == std::vector<int>{0});
  scope.Start(WaitWithLimit(signal, loop.Now() + milliseconds(10), story));
  signal.Notify();
  time.now += milliseconds(20);
  Turn();
  CHECK(story == std::vector<int>{0, 1});
}

TEST_CASE_FIXTURE(CoroFixture, "dropping a scope destroys waiting coroutines, ready ones included") {
  Signal signal(loop);
  int living = 0;
  for (bool is_notified : {false, true}) {
    Scope scope(loop);
    scope.Start(Outer(signal, story, Life(living)));
    scope.Start(WaitWithLimit(signal, loop.Now() + milliseconds(1), story));
    CHECK(living > 0);
    if (is_notified) signal.Notify();
    scope.Cancel();
    CHECK(living == 0);
    CHECK(scope.size() == 0);
    time.now += milliseconds(2);
    Turn();
    CHECK(story.empty());
  }
}

TEST_CASE_FIXTURE(CoroFixture, "joining a scope waits for its last coroutine") {
  Signal signal(loop);
  Scope workers(loop), joiners(loop);
  int living = 0;
  joiners.Start(JoinAndTell(workers, story));
  CHECK(story == std::vector<int>{100});  // nothing to wait for
  story.clear();
  workers.Start(WaitOnce(signal, story, 1, Life(living)));
  workers.Start(WaitOnce(signal, story, 2, Life(living)));
  joiners.Start(JoinAndTell(workers, story));
  Turn();
  CHECK(story.empty());
  signal.Notify();
  Turn();
  CHECK(story == std::vector<int>{1, 2, 100});
}

TEST_CASE_FIXTURE(CoroFixture, "a coroutine may cancel another scope with coroutines that are already ready") {
  Signal signal(loop);
  Scope killers(loop);
  Scope victims(loop);
  int living = 0;
  struct Killer {
    static Task<void> Run(Signal& signal, Scope& victims) {
      auto woken = signal.Wait();
      co_await woken;
      victims.Cancel();
    }
  };
  killers.Start(Killer::Run(signal, victims));
  for (int i = 0; i < 3; ++i) victims.Start(Outer(signal, story, Life(living)));
  signal.Notify();
  Turn();
  CHECK(story.empty());
  CHECK(living == 0);
}

// --- KJ ---

namespace {

Task<void> AwaitNumber(Loop& loop, kj::Own<kj::PromiseFulfiller<int>>& fulfiller, std::vector<int>& story) {
  auto paf = kj::newPromiseAndFulfiller<int>();
  fulfiller = kj::mv(paf.fulfiller);
  auto number = Await(loop, kj::mv(paf.promise));
  auto outcome = co_await number;
  story.push_back(outcome.exception == nullptr ? KJ_ASSERT_NONNULL(outcome.value) : -1);
}

Task<void> AwaitVoid(Loop& loop, std::vector<int>& story) {
  auto later = Await<void>(loop, kj::evalLater([] {}));
  auto outcome = co_await later;
  story.push_back(outcome.exception == nullptr ? 1 : -1);
  auto failing = Await<void>(loop, kj::Promise<void>(KJ_EXCEPTION(DISCONNECTED, "gone")));
  outcome = co_await failing;
  story.push_back(outcome.exception == nullptr ? 1 : -1);
}

Task<int> AddAfterYield(Loop& loop, int a, int b) {
  auto yield = loop.Yield();
  co_await yield;
  if (a < 0) throw std::runtime_error("negative");
  co_return a + b;
}

Task<void> Nothing(Loop& loop, Life life) {
  auto yield = loop.Yield();
  co_await yield;
}

}  // namespace

TEST_CASE_FIXTURE(CoroFixture,
                  "awaiting a KJ promise gives its value or its exception, also when its fulfiller is destroyed") {
  Loop::Entered entered(loop);
  Scope scope(loop);
  kj::Own<kj::PromiseFulfiller<int>> fulfiller;
  scope.Start(AwaitNumber(loop, fulfiller, story));
  Turn();
  fulfiller->fulfill(42);
  Turn();
  CHECK(story == std::vector<int>{42});
  scope.Start(AwaitNumber(loop, fulfiller, story));
  fulfiller->reject(KJ_EXCEPTION(FAILED, "no"));
  Turn();
  scope.Start(AwaitNumber(loop, fulfiller, story));
  fulfiller = nullptr;
  Turn();
  CHECK(story == std::vector<int>{42, -1, -1});
  scope.Start(AwaitVoid(loop, story));
  Turn();
  CHECK(story == std::vector<int>{42, -1, -1, 1, -1});
}

TEST_CASE_FIXTURE(CoroFixture, "dropping the coroutine cancels the promise, before and after it was fulfilled") {
  Loop::Entered entered(loop);
  for (bool is_fulfilled : {false, true}) {
    kj::Own<kj::PromiseFulfiller<int>> fulfiller;
    Scope scope(loop);
    scope.Start(AwaitNumber(loop, fulfiller, story));
    Turn();
    if (is_fulfilled) fulfiller->fulfill(1);
    scope.Cancel();
    CHECK_FALSE(fulfiller->isWaiting());
    Turn();
    CHECK(story.empty());
  }
}

TEST_CASE_FIXTURE(CoroFixture, "a task becomes a KJ promise, with its value and its exception") {
  Loop::Entered entered(loop);
  Scope scope(loop);
  auto first = ToKj<int>(scope, AddAfterYield(loop, 2, 3)).then([this](int sum) { story.push_back(sum); });
  auto second = ToKj<int>(scope, AddAfterYield(loop, -2, 3))
                    .then([this](int sum) { story.push_back(sum); }, [this](kj::Exception&&) { story.push_back(-1); });
  auto both = first.then([&] { return kj::mv(second); }).eagerlyEvaluate(nullptr);
  Turn();
  CHECK(story == std::vector<int>{5, -1});
}

TEST_CASE_FIXTURE(CoroFixture,
                  "a task outlives its dropped KJ promise; cancelling its scope rejects the promise") {
  Loop::Entered entered(loop);
  Scope scope(loop);
  int living = 0;
  {
    auto dropped = ToKj(scope, Nothing(loop, Life(living)));
  }
  CHECK(living > 0);
  Turn();
  CHECK(living == 0);
  auto rejected = ToKj(scope, Nothing(loop, Life(living)))
                      .then([this] { story.push_back(1); }, [this](kj::Exception&&) { story.push_back(-1); })
                      .eagerlyEvaluate(nullptr);
  scope.Cancel();
  CHECK(living == 0);
  Turn();
  CHECK(story == std::vector<int>{-1});
}

}  // namespace ringraft::coro
