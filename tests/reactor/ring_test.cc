#include "reactor/ring.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "reactor/io_buffer.h"
#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Counter final : RingOp {
  void OnCompletion(int result, uint32_t flags) override {
    ++completions;
    last_result = result;
  }
  int completions = 0;
  int last_result = 0;
};

std::unique_ptr<Ring> MakeRing(unsigned entries) {
  auto ring = Ring::Create(entries);
  if (!ring) FAIL(ring.error().message());
  return std::move(ring).value();
}

void Finish(Ring& ring) {
  while (ring.in_flight() > 0) {
    ring.SubmitAndWait(seconds(5));
    ring.Dispatch();
  }
}

}  // namespace

TEST_CASE("a submission queue of 8 entries carries 10,000 operations queued at once") {
  auto ring = MakeRing(8);
  CHECK(ring->entries() == 8);
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  for (int i = 0; i < 10'000; ++i) ring->Queue(nop, counter);
  Finish(*ring);
  CHECK(counter.completions == 10'000);
}

TEST_CASE("a burst that overflows the completion queue loses nothing") {
  auto ring = MakeRing(8);
  ring->SubmitAndPeek();  // bound: from here on a full queue is submitted at once
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i) ring->Queue(nop, counter);
    Finish(*ring);
    CHECK(counter.completions == (round + 1) * 1000);
  }
}

TEST_CASE("a ring made on one thread works on another") {
  auto ring = MakeRing(64);
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  ring->Queue(nop, counter);
  std::thread([&] {
    CHECK(ring->IsOwnThread());
    Finish(*ring);
    ring->Queue(nop, counter);
    Finish(*ring);
  }).join();
  CHECK(counter.completions == 2);
  CHECK_FALSE(ring->IsOwnThread());
}

TEST_CASE("a wait without anything to do ends with its time") {
  auto ring = MakeRing(8);
  ring->SubmitAndWait(milliseconds(1));
  CHECK_FALSE(ring->Dispatch());
}

TEST_CASE("a cancelled operation completes, and so does its cancellation") {
  auto ring = MakeRing(8);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  Counter poll, cancel;
  io_uring_sqe entry{};
  io_uring_prep_poll_add(&entry, pair[0], POLLIN);
  ring->Queue(entry, poll);
  ring->SubmitAndPeek();
  CHECK(ring->in_flight() == 1);
  entry = io_uring_sqe{};
  io_uring_prep_cancel64(&entry, reinterpret_cast<uintptr_t>(static_cast<RingOp*>(&poll)), 0);
  ring->Queue(entry, cancel);
  Finish(*ring);
  CHECK(poll.last_result == -ECANCELED);
  CHECK(cancel.last_result == 0);
  ::close(pair[0]);
  ::close(pair[1]);
}

#ifdef RINGRAFT_GUARD_PAGES
// Why buffers come from that allocator: this is what an operation would do whose buffer was freed too early.
TEST_CASE("with guard pages the kernel's write into a freed buffer fails") {
  auto ring = MakeRing(8);
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  Counter receive;
  {
    IoBuffer buffer(4096);
    io_uring_sqe entry{};
    io_uring_prep_recv(&entry, pair[0], buffer.data(), buffer.size(), 0);
    ring->Queue(entry, receive);
    ring->SubmitAndPeek();
  }
  REQUIRE(::send(pair[1], "late", 4, 0) == 4);
  Finish(*ring);
  CHECK(receive.last_result == -EFAULT);
  ::close(pair[0]);
  ::close(pair[1]);
}
#endif

}  // namespace ringraft::reactor
