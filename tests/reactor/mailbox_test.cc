#include <doctest/doctest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "support.h"

namespace ringraft::reactor {
namespace {

constexpr int kThreads = 8;

struct Letter final : MailboxNode {
  void OnDelivered() override {
    // The nodes of each producer are delivered in its order.
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

// Goes back and forth between a thread and the reactor: every trip needs a wake-up.
struct PingPong final : MailboxNode {
  void OnDelivered() override {
    is_home.store(true, std::memory_order_release);
    is_home.notify_one();
  }
  std::atomic<bool> is_home{true};
};

}  // namespace

TEST_CASE("8 threads post, nothing is lost and the order of each thread is kept") {
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

void ExchangeWithThreads(RingHost& host) {
  const int trips = 2000;
  std::atomic<int> finished = 0;
  std::vector<PingPong> balls(2);
  std::vector<std::thread> threads;
  for (PingPong& ball : balls) {
    threads.emplace_back([&] {
      for (int i = 0; i < trips; ++i) {
        ball.is_home.store(false, std::memory_order_relaxed);
        host.mailbox().Post(ball);
        ball.is_home.wait(false, std::memory_order_acquire);
      }
      ++finished;
      host.Interrupt();
    });
  }
  // With a lost wake-up a turn, and so the test, would wait this long.
  while (finished < static_cast<int>(balls.size())) host.Turn(std::chrono::hours(1));
  for (std::thread& thread : threads) thread.join();
  CHECK(finished == 2);
}

TEST_CASE("G11: no wake-up is lost when the reactor is asleep or falling asleep, with each set of ring flags") {
  for (size_t flag_set = 0; flag_set < Ring::kFlagSets; ++flag_set) {
    CAPTURE(flag_set);
    auto host = RingHost::Create(64, SilentLogger(), flag_set);
    REQUIRE(host);
    ExchangeWithThreads(*host.value());
  }
}

// The mailbox, the ring and the poll between them, as in a host.
struct WakeUpFixture {
  std::unique_ptr<Ring> ring = std::move(Ring::Create(16)).value();
  RingMailbox mailbox{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  WakeUp wake_up{*ring, mailbox.event_fd()};

  ~WakeUpFixture() {
    wake_up.Cancel();
    for (int i = 0; i < 100 && ring->in_flight() > 0; ++i) {
      ring->SubmitAndWait(std::chrono::milliseconds(10));
      ring->Dispatch();
    }
    CHECK(ring->in_flight() == 0);
  }
  // Another thread posts while this one sleeps in the ring; returns true if the post ended the sleep. (The timeout is
  // for a lost wake-up.)
  bool IsWoken() {
    struct Empty final : MailboxNode {
      void OnDelivered() override { is_delivered = true; }
      bool is_delivered = false;
    } letter;
    REQUIRE(mailbox.BeginSleep());
    std::thread other([&] { mailbox.Post(letter); });
    ring->SubmitAndWait(std::chrono::seconds(10));
    const bool is_woken = ring->Dispatch();
    mailbox.EndSleep();
    other.join();
    mailbox.Drain();
    return is_woken && letter.is_delivered;
  }
};

TEST_CASE_FIXTURE(WakeUpFixture, "G6: the wake-up poll is rearmed whenever the kernel ends it") {
  wake_up.Arm();
  CHECK(IsWoken());
  for (int round = 0; round < 3; ++round) {
    io_uring_sqe entry{};
    io_uring_prep_cancel64(&entry, reinterpret_cast<uintptr_t>(static_cast<RingOp*>(&wake_up)), 0);
    struct Cancellation final : RingOp {
      void OnCompletion(int, uint32_t) override {}
    } cancellation;
    ring->Queue(entry, cancellation);
    for (int i = 0; i < 100 && ring->in_flight() > 1; ++i) {
      ring->SubmitAndWait(std::chrono::seconds(1));
      ring->Dispatch();
    }
    CHECK(ring->in_flight() == 1);  // the new poll
    CHECK(wake_up.is_armed());
    for (int i = 0; i < 3; ++i) REQUIRE(IsWoken());
  }
}

TEST_CASE_FIXTURE(WakeUpFixture, "G6, G11: a post is delivered after any final completion of the wake-up poll") {
  int result = 0;
  SUBCASE("no buffers") { result = -ENOBUFS; }
  SUBCASE("no multishot polls: each is rearmed (before Linux 5.13)") { result = -EINVAL; }
  SUBCASE("a wake-up that is the last") { result = 1; }
  wake_up.OnCompletion(result, 0);  // the completion of a poll that is no longer in the ring
  CHECK(wake_up.is_armed());
  for (int i = 0; i < 10; ++i) REQUIRE(IsWoken());
}

TEST_CASE("a mailbox node may repost itself when it is delivered") {
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

TEST_CASE("an interrupt ends a wait, also if it comes before the wait") {
  auto host = MakeHost();
  host->Interrupt();
  host->Turn(std::chrono::hours(1));
  std::thread other([&] { host->Interrupt(); });
  host->Turn(std::chrono::hours(1));
  other.join();
}

}  // namespace ringraft::reactor
