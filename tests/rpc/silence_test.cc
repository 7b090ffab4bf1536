// Connections for heartbeats and votes that bring nothing, although new ones work: a firewall between has forgotten
// them, or the peer's machine has.
#include <doctest/doctest.h>

#include <algorithm>

#include "harness.h"

namespace ringraft::rpc_test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

TEST_SUITE_BEGIN("rpc silent connections");

// Nothing but the silence helps within the time of a test.
RpcOptions NoticesSilenceOnly(Duration control_timeout = milliseconds(20)) {
  RpcOptions options;
  options.control_timeout = control_timeout;
  options.call_timeout = hours(1);
  options.retry_delay = hours(1);
  return options;
}

RequestVoteArgs VoteOf(const Node& from, const Node& to) {
  RequestVoteArgs vote;
  vote.to = to.id();
  vote.candidate_id = from.id();
  vote.term = Term(9);
  return vote;
}

TEST_CASE("J5: a heartbeat on a dead connection ends after control_timeout, and another connection is opened at once") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, NoticesSilenceOnly()), b(world, 2);
  Proxy proxy(world, b.addr());
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))));
  proxy.Pause(0);
  for (int i = 0; i < 3; ++i) {
    auto lost = Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b)));
    REQUIRE_FALSE(lost);
    CHECK(lost.error() == Errc::kTimedOut);
    REQUIRE(Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))));
    proxy.Pause(proxy.connections() - 1);
  }
  CHECK(proxy.connections() == 4);
  CHECK(a.logger.Count("the control connection to the peer at 127.0.0.1") == 3);
  CHECK(a.logger.Count("connected to node 2") == 4);
}

TEST_CASE("J5: an unanswered vote opens another connection, and its late reply still counts") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, NoticesSilenceOnly()), b(world, 2);
  b.service.Hold();  // its disk is slow
  Running<RequestVoteResults> vote(world, a.rpc->CallRequestVote(b.addr(), VoteOf(a, b)));
  world.RunUntil([&]() { return b.service.handshakes.size() == 2; });
  CHECK_FALSE(vote.is_done());
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))));
  b.service.LetGo();
  world.RunUntil([&]() { return vote.is_done(); });
  CHECK(*vote.result);
}

TEST_CASE("J5: a connection that brings anything is kept, however long one vote waits") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, NoticesSilenceOnly(milliseconds(200))), b(world, 2);
  b.service.Hold();
  Running<RequestVoteResults> vote(world, a.rpc->CallRequestVote(b.addr(), VoteOf(a, b)));
  const TimePoint until = Clock::now() + milliseconds(450);
  Duration longest{};  // on a busy machine the peer may in fact be silent for so long
  for (TimePoint before = Clock::now(); before < until;) {
    CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))));
    longest = std::max(longest, Clock::now() - before);
    before = Clock::now();
  }
  CHECK_FALSE(vote.is_done());
  if (longest < milliseconds(100)) CHECK(b.service.handshakes.size() == 1);
}

TEST_CASE("J5: retired connections end with their last call, and only a few are kept") {
  World world;
  RpcOptions options = NoticesSilenceOnly(milliseconds(5));
  Node a(world, 1, ClusterId{1, 2}, options), b(world, 2);
  Proxy proxy(world, b.addr());
  std::vector<std::unique_ptr<Running<RequestVoteResults>>> votes;
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(proxy.addr(), AppendTo(a, b))));
  for (size_t i = 0; i < 6; ++i) {
    proxy.Pause(i);
    votes.push_back(
        std::make_unique<Running<RequestVoteResults>>(world, a.rpc->CallRequestVote(proxy.addr(), VoteOf(a, b))));
    world.RunUntil([&]() { return b.service.handshakes.size() == i + 2; });
  }
  world.RunUntil([&]() { return votes[0]->is_done() && votes[1]->is_done(); });
  CHECK(votes[0]->result->error() == Errc::kUnknown);
  CHECK_FALSE(votes[2]->is_done());
  SUBCASE("a late reply") {
    proxy.Resume(5);
    world.RunUntil([&]() { return votes[5]->is_done(); });
    CHECK(*votes[5]->result);
  }
  SUBCASE("the end of the transport") {
    a.rpc->Close();
    world.RunUntil([&]() { return votes[5]->is_done(); });
    CHECK(votes[2]->result->error() == Errc::kStopped);
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
