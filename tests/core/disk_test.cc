// Stalled disks: a leader with one transfers leadership, and a follower with one does not campaign.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

constexpr Duration kLimit = 200 * kMs;

Server Make() {
  CoreOptions options = TestOptions(1);
  options.disk_stall_limit = kLimit;
  return Server(ServerSpec(), options);
}

// A write that takes `duration`.
void WriteFor(Server& server, Duration duration) {
  if (!server->HasWrite()) server->NextWriteNumber();
  server.Take();
  server.Pass(duration);
  while (!server.writing.empty()) server.FinishOne();
}

TEST_SUITE("stalled disks") {
  TEST_CASE("A24: a leader with a write beyond the stall limit transfers leadership to a responsive voter") {
    for (Duration took : {kLimit - 20 * kMs, kLimit + 20 * kMs}) {
      Server leader = Make();
      leader.Lead({2, 3});
      leader.Propose();
      leader.Take();
      for (uint64_t peer : {2, 3}) leader.Replicate(peer);
      leader.Pass(took);
      CHECK(leader->is_disk_stalled() == (took > kLimit));
      CHECK(leader->IsTransferring() == (took > kLimit));
      CHECK(leader->NextTimeoutNow(leader.now).has_value() == (took > kLimit));
      CHECK(leader->disk_latency(leader.now) >= took);
    }
  }

  TEST_CASE("A24: a follower with a stalled disk neither campaigns nor takes over; one with a healthy disk does") {
    for (Duration took : {10 * kMs, kLimit + 20 * kMs}) {
      Server follower = Make();
      follower.Append(follower.AppendArgs(2, 2, 1, 1));
      WriteFor(follower, took);
      CHECK(follower->is_disk_stalled() == (took > kLimit));
      AppendEntriesArgs timeout_now = follower.AppendArgs(2, 2, 1, 1);
      timeout_now.timeout_now = true;
      follower.Append(timeout_now);
      CHECK((follower->role() == Role::kPreCandidate) == (took < kLimit));
      follower.Append(follower.AppendArgs(2, 2, 1, 1));
      REQUIRE(follower->role() == Role::kFollower);
      follower.Pass(follower.options.election_timeout_max + 20 * kMs);
      CHECK((follower->role() == Role::kPreCandidate) == (took < kLimit));
    }
  }

  TEST_CASE("A24: a disk recovers after three writes in time, and an idle node issues them itself") {
    Server follower = Make();
    follower.Append(follower.AppendArgs(2, 2, 1, 1));
    WriteFor(follower, kLimit + 20 * kMs);
    REQUIRE(follower->is_disk_stalled());
    for (int writes = 0; writes < 2; ++writes) WriteFor(follower, 10 * kMs);
    CHECK(follower->is_disk_stalled());
    WriteFor(follower, kLimit + 20 * kMs);  // the count begins again
    int made = 0;
    for (int i = 0; i < 400 && follower->is_disk_stalled(); ++i) {
      follower.Append(follower.AppendArgs(2, 2, 1, 1));
      follower.Pass(10 * kMs);
      if (!follower->HasWrite()) continue;
      ++made;
      follower.Persist();
    }
    CHECK(made == 3);
    CHECK_FALSE(follower->is_disk_stalled());
  }

  TEST_CASE("A24: no reply waits for a write that only probes the disk") {
    Server follower = Make();
    follower.Append(follower.AppendArgs(2, 2, 1, 1));
    WriteFor(follower, kLimit + 20 * kMs);
    for (int i = 0; i < 100 && !follower->HasWrite(); ++i) {
      follower->OnAppendEntries(follower.now, follower.AppendArgs(2, 2, 1, 1)).value();
      follower.Pass(10 * kMs);
    }
    REQUIRE(follower->HasWrite());
    follower.Take();
    auto heard = follower->OnAppendEntries(follower.now, follower.AppendArgs(2, 2, 1, 1));
    REQUIRE(heard.has_value());
    CHECK(follower->AppendGate(heard.value()) == 0);
  }

  TEST_CASE("A24: a stall during a transfer is reconsidered when the transfer has ended, not at once") {
    Server leader = Make();
    leader.Lead({2, 3});
    leader.Propose();
    leader.Take();
    REQUIRE(leader->TransferLeadership(leader.now, NodeId(2), leader.now + 10 * kLimit).has_value());
    leader.Pass(kLimit + 20 * kMs);
    REQUIRE(leader->is_disk_stalled());
    REQUIRE(leader->IsTransferring());
    CHECK(leader->NextTick() > leader.now);
  }

  TEST_CASE("A24: after a long time without a leader a node with a stalled disk campaigns") {
    Server follower = Make();
    follower.Append(follower.AppendArgs(2, 2, 1, 1));
    WriteFor(follower, kLimit + 20 * kMs);
    follower->NextWriteNumber();
    follower.Take();  // this write never ends
    follower.Pass(9 * follower.options.election_timeout_max);
    CHECK(follower->role() == Role::kFollower);
    CHECK(follower->leader() == NodeId(0));
    follower.Pass(3 * follower.options.election_timeout_max);
    CHECK(follower->role() == Role::kPreCandidate);
  }

  TEST_CASE("A24: a stalled leader without a suitable successor remains leader and retries ever more rarely") {
    Server leader = Make();
    leader.Lead({2, 3});
    leader.Propose();
    leader.Take();
    int attempts = 0;
    bool was_transferring = false;
    for (int i = 0; i < 1000; ++i) {
      leader.Pass(20 * kMs);
      REQUIRE(leader->is_leader());
      if (leader->IsTransferring() && !was_transferring) ++attempts;
      was_transferring = leader->IsTransferring();
    }
    CHECK(attempts > 1);
    CHECK(attempts < 8);
  }

  TEST_CASE("A24: without a limit no disk is stalled") {
    Server server;
    server.Lead({2, 3});
    WriteFor(server, 5000 * kMs);
    CHECK_FALSE(server->is_disk_stalled());
    CHECK_FALSE(server->IsTransferring());
  }
}

}  // namespace
}  // namespace ringraft::core
