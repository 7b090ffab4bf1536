#include "ringraft/reactor.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "support.h"

namespace ringraft {
namespace {

using std::chrono::milliseconds;

std::unique_ptr<Reactor> MakeReactor() {
  auto reactor = Reactor::Create();
  if (!reactor) FAIL(reactor.error().message());
  return std::move(reactor).value();
}

Task<void> SleepAndStop(Reactor& reactor, bool& was_in_turn) {
  auto sleep = reactor.Sleep(milliseconds(1));
  co_await sleep;
  was_in_turn = reactor.IsInTurn();
  reactor.Stop();
}

Task<void> SleepForLong(Reactor& reactor, std::shared_ptr<int> life) {
  auto sleep = reactor.Sleep(std::chrono::hours(1));
  co_await sleep;
}

}  // namespace

TEST_CASE("G7: a reactor created on one thread runs on a thread of its own") {
  auto reactor = MakeReactor();
  std::promise<std::thread::id> ran;
  REQUIRE(reactor->Start());
  reactor->Post([&] { ran.set_value(std::this_thread::get_id()); });
  CHECK(ran.get_future().get() != std::this_thread::get_id());
  auto again = reactor->Start();
  REQUIRE_FALSE(again);
  CHECK(again.error() == Errc::kRanRepeatedly);
  CHECK_FALSE(reactor->IsInTurn());
}

TEST_CASE("a reactor runs on its caller's thread until one of its coroutines stops it") {
  auto reactor = MakeReactor();
  bool was_in_turn = false;
  reactor->Spawn(SleepAndStop(*reactor, was_in_turn));
  reactor->Run();
  CHECK(was_in_turn);
}

TEST_CASE("G7: a reactor created here may be run, and another one driven, by another thread") {
  auto reactor = MakeReactor();
  bool was_in_turn = false;
  reactor->Spawn(SleepAndStop(*reactor, was_in_turn));
  std::thread([&] { reactor->Run(); }).join();
  CHECK(was_in_turn);
}

TEST_CASE("posted functions run in order in a later turn, also if posted within a turn") {
  auto reactor = MakeReactor();
  std::vector<int> story;
  reactor->Post([&] {
    reactor->Post([&] { story.push_back(3); });
    story.push_back(1);
  });
  reactor->Post([&] { story.push_back(2); });
  reactor->RunOnce(milliseconds(100));
  CHECK(story == std::vector<int>{1, 2});
  reactor->RunOnce(milliseconds(100));
  CHECK(story == std::vector<int>{1, 2, 3});
}

TEST_CASE("a destroyed reactor destroys its coroutines and posted functions") {
  auto life = std::make_shared<int>(1);
  {
    auto reactor = MakeReactor();
    REQUIRE(reactor->Start());
    reactor->Spawn(SleepForLong(*reactor, life));
    std::promise<void> started;
    reactor->Post([&] { started.set_value(); });
    started.get_future().get();
    reactor->Stop();
    reactor->Stop();
  }
  CHECK(life.use_count() == 1);
  {
    auto reactor = MakeReactor();
    reactor->Spawn(SleepForLong(*reactor, life));
    reactor->Post([life] {});
  }
  CHECK(life.use_count() == 1);
}

TEST_CASE("8 threads post and spawn while the reactor runs") {
  auto reactor = MakeReactor();
  REQUIRE(reactor->Start());
  std::atomic<int> count = 0;
  std::vector<std::thread> threads;
  struct Spawned {
    static Task<void> Run(Reactor& reactor, std::atomic<int>& count) {
      auto sleep = reactor.Sleep(Duration::zero());
      co_await sleep;
      ++count;
      count.notify_all();
    }
  };
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        reactor->Post([&] {
          ++count;
          count.notify_all();
        });
        reactor->Spawn(Spawned::Run(*reactor, count));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int seen = count; seen < 8 * 400; seen = count) count.wait(seen);
  CHECK(count == 8 * 400);
}

TEST_CASE("wrong options are refused by name") {
  for (unsigned entries : {0u, 7u, 32769u}) {
    ReactorOptions options;
    options.ring_entries = entries;
    auto reactor = Reactor::Create(options);
    REQUIRE_FALSE(reactor);
    CHECK(reactor.error() == Errc::kInvalidArgument);
    CHECK(reactor.error().message().find("ring_entries") != std::string::npos);
  }
}

}  // namespace ringraft
