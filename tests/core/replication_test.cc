// Appends by the leader, beyond Figure 2: pipelines, refusals out of order, reads from the disk (hazards B2 to B24).
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("leader: pipelines") {
  TEST_CASE("B18: a probe has one append in flight; after it, as many as the window allows") {
    Server leader;
    leader.Win();
    leader.options.peer_window_calls = 16;
    for (int i = 0; i < 40; ++i) leader.Propose();
    auto probe = leader.NextAppend(2);
    REQUIRE(probe.has_value());
    CHECK(probe->args.entries.size() == 1);
    CHECK_FALSE(leader.NextAppend(2).has_value());
    leader.Acknowledge(*probe);
    auto packed = leader.NextAppend(2);
    REQUIRE(packed.has_value());
    CHECK(packed->args.entries.size() == 40);  // one call takes all waiting batches
    CHECK_FALSE(leader.NextAppend(2).has_value());
    size_t calls = 1;
    for (; leader.Propose(), leader.NextAppend(2).has_value(); ++calls) REQUIRE(calls < 100);
    CHECK(calls == 16);
  }

  TEST_CASE("B14, B18: the window and an append are bounded in bytes") {
    CoreOptions options = TestOptions(1);
    options.peer_window_bytes = 5000;
    options.max_append_bytes = 2500;
    Server leader({}, options);
    leader.Lead();
    for (int i = 0; i < 20; ++i) leader.Propose(1, std::string(1000 - 72, 'x'));
    std::vector<AppendRequest> sent;
    while (auto request = leader.NextAppend(2)) sent.push_back(*request);
    REQUIRE(sent.size() == 3);
    CHECK(sent[0].args.entries.size() == 2);
    CHECK(sent[0].ticket.bytes == 2000);
    CHECK(sent[2].args.entries.size() == 1);
    CHECK(leader->PeerStatuses(leader.now)[1].inflight_bytes == 5000);
    leader.Acknowledge(sent[0]);
    CHECK(leader.NextAppend(2).has_value());
    // A batch larger than all limits is sent alone.
    leader.Replicate(3);
    leader.Propose(1, std::string(9000, 'x'));
    auto large = leader.NextAppend(3);
    REQUIRE(large.has_value());
    CHECK(large->args.entries.size() == 1);
    CHECK_FALSE(leader.NextAppend(3).has_value());
  }

  TEST_CASE("B12: after replies, failures and refusals nothing stays in flight") {
    Server leader;
    leader.Lead();
    std::vector<AppendRequest> sent;
    for (int i = 0; i < 10; ++i) {
      leader.Propose();
      sent.push_back(*leader.NextAppend(2));
    }
    leader.Acknowledge(sent[3]);
    leader.Refuse(sent[5], 4, 2);
    CHECK(leader->PeerStatuses(leader.now)[1].inflight_bytes == 0);
    for (const auto& request : sent) leader->OnAppendFailed(request.ticket);
    auto probe = leader.NextAppend(2);
    REQUIRE(probe.has_value());
    for (const auto& request : sent)
      leader->OnAppendFailed(request.ticket);  // late: none of these appends is in flight
    CHECK_FALSE(leader.NextAppend(2).has_value());
    leader.Acknowledge(*probe);
    leader.Replicate(2);
    CHECK(leader->PeerStatuses(leader.now)[1].inflight_bytes == 0);
    CHECK(leader->PeerStatuses(leader.now)[1].lag_entries == 0);
  }

  TEST_CASE("after a failure everything after the match index is resent") {
    Server leader;
    leader.Lead();
    leader.Propose();
    leader.Propose();
    auto request = leader.NextAppend(2);
    leader->OnAppendFailed(request->ticket);
    auto again = leader.NextAppend(2);
    REQUIRE(again.has_value());
    CHECK(again->args.prev_index == Index(2));
  }

  TEST_CASE("B5: a late or repeated refusal rewinds nothing") {
    Server leader;
    leader.Lead();
    leader.Propose();
    auto first = leader.NextAppend(2);
    leader.Propose();
    auto second = leader.NextAppend(2);
    leader.Acknowledge(*second);
    leader.Refuse(*first, 0, 0);   // late
    leader.Refuse(*first, 0, 0);   // repeated
    leader.Refuse(*second, 0, 0);  // already acknowledged
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(4));
    leader.Propose();
    auto third = leader.NextAppend(2);
    REQUIRE(third.has_value());
    CHECK(third->args.prev_index == Index(4));
    leader.Propose();
    CHECK(leader.NextAppend(2).has_value());  // still several appends in flight
  }

  TEST_CASE("B5: a late refusal of an abandoned append does not disturb the probe") {
    Server leader;
    leader.Lead();
    std::vector<AppendRequest> sent;
    for (int i = 0; i < 3; ++i) {
      leader.Propose();
      sent.push_back(*leader.NextAppend(2));
    }
    leader.Refuse(sent[2], 2, 2);
    auto probe = leader.NextAppend(2);
    REQUIRE(probe.has_value());
    CHECK(probe->args.prev_index == Index(2));
    leader.Refuse(sent[1], 2, 2);
    CHECK_FALSE(leader.NextAppend(2).has_value());  // the probe is in flight
    leader.Acknowledge(*probe);
    leader.Refuse(sent[0], 0, 0);
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(3));
  }

  TEST_CASE("B5: a reply from before a peer was removed and added again does not count as one to a later append") {
    CoreOptions options = TestOptions(1);
    options.catch_up_rounds = 10;
    Server leader({}, options);
    leader.Lead();
    REQUIRE(leader->ProposeConfig(Change({MakePeer(4)}, {})).has_value());
    auto old = leader.NextAppend(4);
    REQUIRE(old.has_value());
    REQUIRE(leader->AbortConfig(Error(Errc::kChangeAborted)).has_value());
    REQUIRE(leader->ProposeConfig(Change({MakePeer(4)}, {})).has_value());
    auto probe = leader.NextAppend(4);
    REQUIRE(probe.has_value());
    leader.Refuse(*old, 0, 0);
    CHECK_FALSE(leader.NextAppend(4).has_value());  // the probe is in flight
    leader.Acknowledge(*old);
    leader->OnAppendFailed(old->ticket);
    CHECK_FALSE(leader.NextAppend(4).has_value());
    leader.Refuse(*probe, 0, 0);
    leader.Replicate(4);
    CHECK(leader->PeerStatuses(leader.now).back().match_index == leader->last_index());
  }

  TEST_CASE("a refusal never moves the next index back to or before the match index, whatever it names") {
    Server leader;
    leader.Lead();
    for (int i = 0; i < 3; ++i) leader.Propose();
    auto request = leader.NextAppend(2);
    leader.Propose();
    auto second = leader.NextAppend(2);
    leader.Refuse(*second, 0, 0);
    auto again = leader.NextAppend(2);
    REQUIRE(again.has_value());
    CHECK(again->args.prev_index == Index(2));
    leader.Refuse(*again, ~uint64_t{0}, ~uint64_t{0});
    CHECK(leader.NextAppend(2)->args.prev_index == Index(2));
  }

  TEST_CASE("B6: replies of an earlier leadership do not count, even if their sequence number is in use again") {
    Server leader;
    leader.Win();
    auto old = leader.NextAppend(3);
    REQUIRE(old.has_value());
    leader.Append(leader.AppendArgs(3, 3, 1, 1, {Commands(2, 3, 1, 3)}));
    leader.Advance(500 * kMs);
    leader.Win();
    leader.Persist();
    REQUIRE(leader->term() == Term(4));
    auto present = leader.NextAppend(3);
    REQUIRE(present.has_value());
    REQUIRE(present->ticket.sequence == old->ticket.sequence);
    leader.Acknowledge(*old);
    CHECK(leader->PeerStatuses(leader.now)[2].match_index == Index(0));
    CHECK(leader->commit_index() == Index(0));
    leader.Acknowledge(*present);
    CHECK(leader->PeerStatuses(leader.now)[2].match_index == Index(3));
    CHECK(leader->commit_index() == Index(3));
  }

  TEST_CASE("a reply that names more than was sent is ignored") {
    Server leader;
    leader.Lead();
    leader.Propose();
    auto request = leader.NextAppend(2);
    leader.Propose();
    leader.Persist();
    leader->OnAppendReply(leader.now, request->ticket, AppendEntriesResults{Term(2), true, Index(4), {}});
    CHECK(leader->commit_index() == Index(2));
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(2));
  }

  TEST_CASE("B2, B7: a heartbeat has the match index as prev, and no commit index above it") {
    Server leader;
    leader.Lead();
    leader.Propose();
    leader.Persist();
    leader.Replicate(2);
    REQUIRE(leader->commit_index() == Index(3));
    auto to_2 = leader->NextHeartbeat(NodeId(2), leader.now);
    CHECK(to_2->args.prev_index == Index(3));
    CHECK(to_2->args.prev_term == Term(2));
    CHECK(to_2->args.leader_commit == Index(3));
    auto to_3 = leader->NextHeartbeat(NodeId(3), leader.now);
    CHECK(to_3->args.prev_index == Index(0));
    CHECK(to_3->args.leader_commit == Index(0));
    CHECK_FALSE(leader->NextHeartbeat(NodeId(4), leader.now).has_value());
  }

  TEST_CASE("a refused heartbeat with a durable match is counted, and moves nothing") {
    Server leader;
    leader.Lead();
    auto heartbeat = leader->NextHeartbeat(NodeId(2), leader.now);
    leader->OnHeartbeatReply(leader.now, heartbeat->ticket, AppendEntriesResults{Term(2), false, Index(0), {}});
    CHECK(leader->LostMatches(NodeId(2)) == 1);
    CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(2));
  }

  TEST_CASE("an idle peer is notified once of a commit") {
    Server leader;
    leader.Lead();
    leader.Replicate(2);
    leader.Propose();
    leader.Persist();
    auto data = leader.NextAppend(2);
    leader.Acknowledge(*data);
    REQUIRE(leader->commit_index() == Index(3));
    auto commit = leader.NextAppend(2);
    REQUIRE(commit.has_value());
    CHECK(commit->args.entries.empty());
    CHECK(commit->args.leader_commit == Index(3));
    CHECK_FALSE(leader.NextAppend(2).has_value());
    leader.Acknowledge(*commit);
    CHECK_FALSE(leader.NextAppend(2).has_value());
  }

  TEST_CASE("B11, B20, B24: a lagging peer is served from the disk, one read at a time, in whole batches") {
    CoreOptions options = TestOptions(1);
    options.cached_tail_bytes = 200;
    options.max_append_bytes = 400;
    Server leader({}, options);
    leader.Lead();
    for (int i = 0; i < 50; ++i) leader.Propose(3);
    leader.Persist();
    leader.Replicate(2);
    while (true) {
      NextApplyResult next = leader->NextApply(1000, false);
      if (auto* batches = std::get_if<std::vector<BatchRef>>(&next)) {
        leader->OnApplied(batches->back().last());
      } else if (auto* read = std::get_if<ReadRequest>(&next)) {
        leader->OnApplied(leader->OnApplyRead(leader.disk.Read(read->from, 1000), false).back().last());
      } else {
        break;
      }
    }
    CHECK(leader->cached_bytes() <= 200);
    CHECK(leader->unapplied_bytes() == 0);
    Server follower({.self = 3});
    CHECK(BringUpToDate(leader, follower) <= 1);
    CHECK(follower.Terms() == leader.Terms());
    CHECK(follower.disk.batches().size() == leader.disk.batches().size());

    // There is one read at a time; a failed read is requested again.
    Server slow({.self = 2});
    leader.Append(leader.AppendArgs(3, 3, leader->last_index().value(), 2));
    leader.Win();
    auto probe = leader.NextAppend(2);
    leader.Refuse(*probe, 1, 1);
    probe = leader.NextAppend(2);
    CHECK(probe->args.entries.empty());
    leader.Acknowledge(*probe);
    CHECK(std::holds_alternative<ReadRequest>(leader->NextAppend(NodeId(2), leader.now)));
    CHECK(std::holds_alternative<std::monostate>(leader->NextAppend(NodeId(2), leader.now)));
    leader->OnRead(NodeId(2), {});
    CHECK(std::holds_alternative<ReadRequest>(leader->NextAppend(NodeId(2), leader.now)));
    leader->OnRead(NodeId(2), {Commands(2, 1, 4, 9)});  // not in the log: read under an earlier leadership
    CHECK(std::holds_alternative<ReadRequest>(leader->NextAppend(NodeId(2), leader.now)));
    leader->OnRead(NodeId(2), leader.disk.Read(Index(2), 400));
    CHECK(BringUpToDate(leader, slow) == 0);
    CHECK(slow.Terms() == leader.Terms());
  }

  TEST_CASE("B9: on a single server an entry is committed once it is durable") {
    Server leader({.configuration = MakeConfiguration({1})});
    leader.now = leader->NextTick();
    leader->OnTick(leader.now);
    leader.Persist();
    leader.Propose();
    CHECK(leader->commit_index() == Index(2));
    leader.Take();
    CHECK(leader->commit_index() == Index(2));
    leader.FinishOne();
    CHECK(leader->commit_index() == Index(3));
  }
}

}  // namespace
}  // namespace ringraft::core
