// Priority: leadership is transferred to the voter with the highest, and elections ignore it.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

using Reports = Server::Reports;

Server LeaderOf(uint8_t priority) {
  CoreOptions options = TestOptions(1);
  options.priority = priority;
  Server leader(ServerSpec(), options);
  leader.Lead({2, 3});
  return leader;
}

const Duration kOnce = TestOptions(1).election_timeout_max + 20 * kMs;

TEST_SUITE("priority") {
  TEST_CASE("A21: a leader transfers leadership to a voter of a higher priority, and to no other") {
    for (int own : {0, 4, 5, 6, 255}) {
      Server leader = LeaderOf(static_cast<uint8_t>(own));
      leader.Pass(kOnce, Reports{5}, Reports());
      CHECK((leader->successor() == NodeId(2)) == (own < 5));
      CHECK(leader->NextTimeoutNow(leader.now).has_value() == (own < 5));
    }
  }

  TEST_CASE("A21: it leads for an election timeout first, so that leadership does not oscillate") {
    Server leader = LeaderOf(0);
    leader.Pass(kOnce - 40 * kMs, Reports{5}, Reports());
    CHECK_FALSE(leader->IsTransferring());
    leader.Pass(40 * kMs, Reports{5}, Reports());
    CHECK(leader->IsTransferring());
  }

  TEST_CASE("A21, A24: no transfer begins while the preferred voter lags or its disk is stalled") {
    Server leader = LeaderOf(0);
    leader.Propose();
    leader.Persist();
    leader.Replicate(3);
    leader.Pass(kOnce, Reports{5}, Reports());
    CHECK_FALSE(leader->IsTransferring());  // it has long lacked one entry
    leader.Propose();
    leader.Persist();
    leader.Pass(kOnce, Reports{5}, Reports());
    CHECK_FALSE(leader->IsTransferring());  // no other voter has all entries
    leader.Replicate(2);
    leader.Pass(kOnce, Reports{5, true}, Reports());
    CHECK_FALSE(leader->IsTransferring());
    leader.Pass(kOnce, Reports{5}, Reports());
    CHECK(leader->successor() == NodeId(2));
  }

  TEST_CASE("A21, A24: the best successor does not lag, its disk is healthy, and its priority is the highest") {
    Server leader = LeaderOf(9);
    leader.Propose();
    leader.Persist();
    leader.Replicate(3);
    leader.Pass(10 * kMs, Reports{5}, Reports{4});
    CHECK(leader->BestSuccessor(leader.now) == NodeId(2));  // lags, but not for long
    leader.Pass(kOnce, Reports{5}, Reports{4});
    CHECK(leader->BestSuccessor(leader.now) == NodeId(3));  // has lagged for long
    leader.Replicate(2);
    leader.Pass(10 * kMs, Reports{5, true}, Reports{4});
    CHECK(leader->BestSuccessor(leader.now) == NodeId(3));
  }

  TEST_CASE("A21: failed transfers are retried ever more rarely") {
    Server leader = LeaderOf(0);
    int attempts = 0;
    bool was_transferring = false;
    for (int i = 0; i < 1000; ++i) {
      leader.Pass(20 * kMs, Reports{5}, Reports());
      leader.Persist();
      for (uint64_t peer : {2, 3}) leader.Replicate(peer);
      REQUIRE(leader->is_leader());
      if (leader->IsTransferring() && !was_transferring) ++attempts;
      was_transferring = leader->IsTransferring();
    }
    CHECK(attempts > 2);
    CHECK(attempts < 9);
  }

  TEST_CASE("A24: a follower reports its priority and the state of its disk with each reply") {
    CoreOptions options = TestOptions(1);
    options.priority = 77;
    options.disk_stall_limit = 100 * kMs;
    Server follower(ServerSpec(), options);
    AppendEntriesResults results = follower.Append(follower.AppendArgs(2, 2, 1, 1));
    CHECK(results.priority == 77);
    CHECK_FALSE(results.is_disk_stalled);
    follower->NextWriteNumber();
    follower.Take();
    follower.Advance(200 * kMs);
    follower->OnTick(follower.now);
    while (!follower.writing.empty()) follower.FinishOne();
    CHECK(follower.Append(follower.AppendArgs(2, 2, 1, 1)).is_disk_stalled);
  }

  TEST_CASE("the priority does not change when a server campaigns") {
    std::vector<TimePoint> due;
    for (int priority : {0, 255}) {
      CoreOptions options = TestOptions(1);
      options.priority = static_cast<uint8_t>(priority);
      due.push_back(Server(ServerSpec(), options)->NextTick());
    }
    CHECK(due[0] == due[1]);
  }
}

}  // namespace
}  // namespace ringraft::core
