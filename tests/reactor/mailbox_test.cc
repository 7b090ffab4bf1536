#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support.h"

namespace ringraft::reactor {
namespace {

constexpr int kThreads = 8;

struct Letter final : MailboxNode {
  void OnDelivered() override {
    // Each producer's letters come in its order.
    if ((*last)[producer] + 1 != number) ++*wrong;
    (*last)[producer] = number;
    ++*received;
  }
  int producer = 0;
  int number = 0;
  std::vector<int>* last = nullptr;
  int* wrong = nullptr;
  int* received = nullptr;
};

// Goes back and forth between a thread and the reactor: every trip needs a wake-up that must not be lost.
struct PingPong final : MailboxNode {
  void OnDelivered() override {
    is_home.store(true, std::memory_order_release);
    is_home.notify_one();
  }
  std::atomic<bool> is_home{true};
};

}  // namespace

TEST_CASE("8 threads post, nothing is lost and each one's order is kept") {
  const int per_thread = 5000;
  auto host = MakeHost();
  std::vector<int> last(kThreads, 0);
  int wrong = 0, received = 0;
  std::vector<std::vector<Letter>> letters(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    letters[t] = std::vector<Letter>(per_thread);
    for (int i = 0; i < per_thread; ++i) {
      letters[t][i].producer = t;
      letters[t][i].number = i + 1;
      letters[t][i].last = &last;
      letters[t][i].wrong = &wrong;
      letters[t][i].received = &received;
    }
  }
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (Letter& letter : letters[t]) host->mailbox().Post(letter);
    });
  }
  CHECK(TurnUntil(*host, [&] { return received == kThreads * per_thread; }));
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("no wake-up is lost when every letter finds the reactor asleep or falling asleep") {
  const int trips = 2000;
  auto host = MakeHost();
  std::atomic<int> finished = 0;
  std::vector<PingPong> balls(2);
  std::vector<std::thread> threads;
  for (PingPong& ball : balls) {
    threads.emplace_back([&] {
      for (int i = 0; i < trips; ++i) {
        ball.is_home.store(false, std::memory_order_relaxed);
        host->mailbox().Post(ball);
        ball.is_home.wait(false, std::memory_order_acquire);
      }
      ++finished;
      host->Interrupt();
    });
  }
  // A lost wake-up would leave a turn, and so the test, waiting for this long.
  while (finished < static_cast<int>(balls.size())) host->Turn(std::chrono::hours(1));
  for (std::thread& thread : threads) thread.join();
  CHECK(finished == 2);
}

TEST_CASE("a node may post itself again when it is delivered") {
  struct Again final : MailboxNode {
    void OnDelivered() override {
      if (++count < 10) mailbox->Post(*this);
    }
    int count = 0;
    Mailbox* mailbox = nullptr;
  };
  auto host = MakeHost();
  Again again;
  again.mailbox = &host->mailbox();
  host->mailbox().Post(again);
  REQUIRE(TurnUntil(*host, [&] { return again.count == 10; }));
}

TEST_CASE("an interrupt ends a wait, also one that comes before the wait") {
  auto host = MakeHost();
  host->Interrupt();
  host->Turn(std::chrono::hours(1));
  std::thread other([&] { host->Interrupt(); });
  host->Turn(std::chrono::hours(1));
  other.join();
}

}  // namespace ringraft::reactor
