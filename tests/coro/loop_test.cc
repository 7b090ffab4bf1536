#include "coro/loop.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "coro/scope.h"
#include "manual_time.h"

namespace ringraft::coro {
namespace {

using std::chrono::milliseconds;

struct Recorder final : TimerNode {
  Recorder(std::vector<int>& out, int id) : out(out), id(id) {}
  void OnTimer() override { out.push_back(id); }
  std::vector<int>& out;
  int id;
};

struct LoopFixture {
  ManualTime time;
  Loop loop{time};
  std::vector<int> story;
  void Turn() {
    loop.Turn([] {});
  }
};

Task<void> SleepAndTell(Loop& loop, Duration duration, std::vector<int>& story, int id) {
  auto sleep = loop.SleepUntil(loop.Now() + duration);
  co_await sleep;
  story.push_back(id);
}

Task<void> YieldAndTell(Loop& loop, std::vector<int>& story, int id, int times) {
  for (int i = 0; i < times; ++i) {
    story.push_back(id);
    auto yield = loop.Yield();
    co_await yield;
  }
}

}  // namespace

TEST_CASE_FIXTURE(LoopFixture, "timers run by time, equal times in scheduling order") {
  Recorder a(story, 1), b(story, 2), c(story, 3), d(story, 4);
  const TimePoint t = loop.Now();
  loop.Schedule(a, t + milliseconds(20));
  loop.Schedule(b, t + milliseconds(10));
  loop.Schedule(c, t + milliseconds(20));
  loop.Schedule(d, t + milliseconds(10));
  CHECK(loop.NextTimer() == t + milliseconds(10));
  Turn();
  CHECK(story.empty());
  CHECK_FALSE(loop.HasWork());
  time.now += milliseconds(30);
  CHECK(loop.HasWork());
  Turn();
  CHECK(story == std::vector<int>{2, 4, 1, 3});
  CHECK_FALSE(loop.NextTimer().has_value());
}

TEST_CASE_FIXTURE(LoopFixture, "rescheduling a timer moves it, and a cancelled or destroyed timer does not run") {
  Recorder a(story, 1), b(story, 2);
  auto c = std::make_unique<Recorder>(story, 3);
  const TimePoint t = loop.Now();
  loop.Schedule(a, t + milliseconds(10));
  loop.Schedule(b, t + milliseconds(11));
  loop.Schedule(*c, t + milliseconds(12));
  loop.Schedule(a, t + milliseconds(13));
  loop.Cancel(b);
  c.reset();
  time.now += milliseconds(20);
  Turn();
  CHECK(story == std::vector<int>{1});
}

TEST_CASE_FIXTURE(LoopFixture, "the timer heap stays ordered under random scheduling, moving and cancelling") {
  std::vector<std::unique_ptr<Recorder>> timers;
  std::vector<std::pair<int64_t, int>> expected;
  uint64_t random = 12345;
  const auto next = [&random] { return (random = random * 6364136223846793005u + 1442695040888963407u) >> 33; };
  for (int i = 0; i < 500; ++i) timers.push_back(std::make_unique<Recorder>(story, i));
  std::vector<std::pair<int64_t, int>> when(500, {-1, 0});
  int sequence = 0;
  for (int step = 0; step < 3000; ++step) {
    const int i = static_cast<int>(next() % 500);
    if (next() % 4 == 0) {
      loop.Cancel(*timers[i]);
      when[i].first = -1;
    } else {
      const int64_t at = static_cast<int64_t>(next() % 100);
      loop.Schedule(*timers[i], loop.Now() + milliseconds(at));
      when[i] = {at, sequence++};
    }
  }
  std::vector<std::pair<std::pair<int64_t, int>, int>> order;
  for (int i = 0; i < 500; ++i) {
    if (when[i].first >= 0) order.push_back({when[i], i});
  }
  std::sort(order.begin(), order.end());
  std::vector<int> ids;
  for (const auto& entry : order) ids.push_back(entry.second);
  time.now += milliseconds(200);
  Turn();
  CHECK(story == ids);
}

TEST_CASE_FIXTURE(LoopFixture, "ready coroutines run in FIFO order, and a yield goes to the end of the queue") {
  coro::Scope scope(loop);
  scope.Start(YieldAndTell(loop, story, 1, 3));
  scope.Start(YieldAndTell(loop, story, 2, 3));
  Turn();
  CHECK(story == std::vector<int>{1, 2, 1, 2, 1, 2});
  CHECK(scope.size() == 0);
}

TEST_CASE_FIXTURE(LoopFixture, "a sleep until a past time still suspends for one pass") {
  coro::Scope scope(loop);
  scope.Start(SleepAndTell(loop, -milliseconds(5), story, 1));
  CHECK(story.empty());
  Turn();
  CHECK(story == std::vector<int>{1});
}

namespace {
struct Hook final : TurnEndNode {
  Hook(LoopFixture& fixture) : fixture(fixture) {}
  void OnTurnEnd() override { fixture.story.push_back(99); }
  LoopFixture& fixture;
};
}  // namespace

TEST_CASE_FIXTURE(LoopFixture,
                  "turn-end hooks run when nothing else is ready, and also in a turn that reaches its pass limit") {
  coro::Scope scope(loop);
  Hook hook(*this);
  scope.Start(YieldAndTell(loop, story, 1, 3));
  loop.AtTurnEnd(hook);
  loop.AtTurnEnd(hook);
  Turn();
  CHECK(story == std::vector<int>{1, 1, 1, 99});
  story.clear();
  scope.Start(YieldAndTell(loop, story, 1, 1000));
  loop.AtTurnEnd(hook);
  loop.Turn([] {}, 5);
  CHECK(story.back() == 99);
  CHECK(story.size() == 7);
  CHECK(loop.HasWork());
}

TEST_CASE_FIXTURE(LoopFixture, "KJ events run in turns, and pending ones count as work") {
  bool has_run = false;
  std::optional<kj::Promise<void>> promise;
  {
    Loop::Entered entered(loop);
    promise.emplace(kj::evalLater([&] { has_run = true; }).eagerlyEvaluate(nullptr));
  }
  CHECK(loop.HasWork());
  CHECK_FALSE(has_run);
  Turn();
  CHECK(has_run);
  CHECK_FALSE(loop.HasWork());
  Loop::Entered entered(loop);
  promise.reset();
}

TEST_CASE("one thread drives two loops alternately") {
  ManualTime time;
  Loop a(time), b(time);
  std::vector<int> story;
  coro::Scope in_a(a), in_b(b);
  in_a.Start(YieldAndTell(a, story, 1, 2));
  in_b.Start(YieldAndTell(b, story, 2, 2));
  CHECK(Loop::Current() == nullptr);
  for (int i = 0; i < 2; ++i) {
    a.Turn([&] { CHECK(Loop::Current() == &a); }, 1);
    b.Turn([&] { CHECK(Loop::Current() == &b); }, 1);
  }
  CHECK(Loop::Current() == nullptr);
  CHECK(story == std::vector<int>{1, 2, 1, 2});
}

}  // namespace ringraft::coro
