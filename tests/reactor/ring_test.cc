#include "reactor/ring.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
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

std::unique_ptr<Ring> MakeRing(unsigned entries, size_t flag_set = 0) {
  auto ring = Ring::Create(entries, flag_set);
  if (!ring) FAIL(ring.error().message());
  return std::move(ring).value();
}

void Finish(Ring& ring) {
  while (ring.in_flight() > 0) {
    ring.SubmitAndWait(seconds(5));
    ring.Dispatch();
  }
}

void CarryTenThousand(Ring& ring) {
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  for (int i = 0; i < 10'000; ++i) ring.Queue(nop, counter);
  Finish(ring);
  CHECK(counter.completions == 10'000);
}

}  // namespace

TEST_CASE("G14: a submission queue of 8 entries carries 10,000 operations queued at once") {
  auto ring = MakeRing(8);
  CHECK(ring->entries() == 8);
  CarryTenThousand(*ring);
}

TEST_CASE("G5: a burst that overflows the completion queue loses nothing") {
  auto ring = MakeRing(8);
  ring->SubmitAndPeek();  // now this thread owns the ring: a full queue is submitted at once
  Counter counter;
  io_uring_sqe nop{};
  io_uring_prep_nop(&nop);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 1000; ++i) ring->Queue(nop, counter);
    CHECK(ring->HasOverflowed());
    Finish(*ring);
    CHECK(counter.completions == (round + 1) * 1000);
  }
}

TEST_CASE("G7: a ring created on one thread works on another") {
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

TEST_CASE("G8, G11: with each set of flags, including those for older kernels, a ring loses nothing") {
  for (size_t flag_set = 0; flag_set < Ring::kFlagSets; ++flag_set) {
    CAPTURE(flag_set);
    auto ring = MakeRing(8, flag_set);
    CHECK(((ring->setup_flags() & IORING_SETUP_SINGLE_ISSUER) != 0) == (flag_set == 0));
    CHECK(((ring->setup_flags() & IORING_SETUP_DEFER_TASKRUN) != 0) == (flag_set == 0));
    CHECK(((ring->setup_flags() & IORING_SETUP_COOP_TASKRUN) != 0) == (flag_set == 1));
    CHECK(((ring->setup_flags() & IORING_SETUP_SUBMIT_ALL) != 0) == (flag_set < 2));
    CarryTenThousand(*ring);
  }
}

TEST_CASE("G8: with each set of flags, a later completion is seen without anything to submit") {
  for (size_t flag_set = 0; flag_set < Ring::kFlagSets; ++flag_set) {
    CAPTURE(flag_set);
    auto ring = MakeRing(8, flag_set);
    const int event_fd = ::eventfd(0, EFD_NONBLOCK);
    REQUIRE(event_fd >= 0);
    Counter poll;
    io_uring_sqe entry{};
    io_uring_prep_poll_add(&entry, event_fd, POLLIN);
    ring->Queue(entry, poll);
    ring->SubmitAndPeek();
    CHECK_FALSE(ring->Dispatch());
    const uint64_t one = 1;
    REQUIRE(::write(event_fd, &one, sizeof one) == sizeof one);
    for (int i = 0; i < 1000 && poll.completions == 0; ++i) {
      ring->SubmitAndPeek();
      ring->Dispatch();
    }
    CHECK(poll.last_result == POLLIN);
    ::close(event_fd);
  }
}

TEST_CASE("a wait with nothing in flight ends at its timeout") {
  auto ring = MakeRing(8);
  ring->SubmitAndWait(milliseconds(1));
  CHECK_FALSE(ring->Dispatch());
}

TEST_CASE("G15: a cancelled operation completes, and so does its cancellation") {
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

TEST_CASE("G15: an operation cancelled at or after its end completes once, and so does its cancellation") {
  for (bool is_collected : {false, true}) {
    for (size_t flag_set = 0; flag_set < Ring::kFlagSets; ++flag_set) {
      CAPTURE(is_collected);
      CAPTURE(flag_set);
      auto ring = MakeRing(8, flag_set);
      int pair[2];
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
      Counter poll, cancel;
      io_uring_sqe entry{};
      io_uring_prep_poll_add(&entry, pair[0], POLLIN);
      ring->Queue(entry, poll);
      ring->SubmitAndPeek();
      REQUIRE(::send(pair[1], "x", 1, 0) == 1);  // it completes before the cancellation is submitted
      if (is_collected) ring->SubmitAndWait(seconds(5));
      entry = io_uring_sqe{};
      io_uring_prep_cancel64(&entry, reinterpret_cast<uintptr_t>(static_cast<RingOp*>(&poll)), 0);
      ring->Queue(entry, cancel);
      Finish(*ring);
      CHECK(poll.completions == 1);
      CHECK(cancel.completions == 1);
      // Where completions are deferred until they are requested, the cancellation may still overtake one.
      const bool is_cancelled = !is_collected && cancel.last_result == 0;
      CHECK(poll.last_result == (is_cancelled ? -ECANCELED : POLLIN));
      if (!is_cancelled) CHECK((cancel.last_result == -ENOENT || cancel.last_result == -EALREADY));
      ::close(pair[0]);
      ::close(pair[1]);
    }
  }
}

#ifdef RINGRAFT_GUARD_PAGES
// The purpose of IoBuffer: a buffer that was freed too early must not be written.
TEST_CASE("G4: with guard pages the kernel's write into a freed buffer fails") {
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
