// Appends at a follower, beyond Figure 2: gates, and repeated, overlapping and malformed appends (hazards B4 to B16,
// I9).
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("follower: replies and the disk") {
  TEST_CASE("B8: the reply to data waits for the write that contains it, also when the data is repeated") {
    Server server;
    auto args = server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 2, 2)});
    auto first = server->OnAppendEntries(server.now, args);
    REQUIRE(first.has_value());
    CHECK(first.value().gate == 1);
    CHECK(server->OnAppendEntries(server.now, args).value().gate == 1);
    server.Take();
    CHECK(server->OnAppendEntries(server.now, args).value().gate == 1);
    auto more = server->OnAppendEntries(server.now, server.AppendArgs(2, 1, 3, 1, {Commands(4, 1, 1, 2)}));
    CHECK(more.value().gate == 2);
    CHECK(server->OnAppendEntries(server.now, args).value().gate == 1);
    server.FinishOne();
    CHECK(server->FinishAppend(first.value()).durable_match == Index(3));
    CHECK(server->OnAppendEntries(server.now, args).value().gate == 0);
    server.Persist();
    CHECK(server->FinishAppend(more.value()).durable_match == Index(4));
  }

  TEST_CASE("A24, B8: a heartbeat reply never waits for data, and names only durable entries") {
    Server server;
    REQUIRE(server->OnAppendEntries(server.now, server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 2, 2)})).has_value());
    auto heartbeat = server->OnAppendEntries(server.now, server.AppendArgs(2, 1, 3, 1));
    CHECK(heartbeat.value().gate == 0);
    AppendEntriesResults results = server->FinishAppend(heartbeat.value());
    CHECK(results.success);
    CHECK(results.durable_match == Index(1));
    server.Persist();
    CHECK(server->FinishAppend(heartbeat.value()).durable_match == Index(3));
  }

  TEST_CASE("A1: a heartbeat reply waits for the new term of the heartbeat") {
    Server server;
    auto heartbeat = server->OnAppendEntries(server.now, server.AppendArgs(2, 5, 1, 1));
    CHECK(heartbeat.value().gate == 1);
    server.Persist();
    CHECK(server->OnAppendEntries(server.now, server.AppendArgs(2, 5, 1, 1)).value().gate == 0);
  }

  TEST_CASE("B6: a reply that waited for the disk while the term advanced is a refusal with the new term") {
    Server server;
    auto ticket = server->OnAppendEntries(server.now, server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 2, 2)}));
    server.Append(server.AppendArgs(3, 2, 1, 1, {Commands(2, 2, 1, 3)}));
    AppendEntriesResults results = server->FinishAppend(ticket.value());
    CHECK_FALSE(results.success);
    CHECK(results.term == Term(2));
    CHECK(results.durable_match == Index(0));
  }

  TEST_CASE("B10: append, truncate, append the same again: the first write's completion acknowledges nothing") {
    Server server;
    REQUIRE(server->OnAppendEntries(server.now, server.AppendArgs(2, 2, 1, 1, {Commands(2, 2, 1, 2)})).has_value());
    server.Take();
    REQUIRE(server->OnAppendEntries(server.now, server.AppendArgs(3, 3, 1, 1, {Commands(2, 3, 1, 3)})).has_value());
    server.Take();
    auto again = server->OnAppendEntries(server.now, server.AppendArgs(2, 4, 1, 1, {Commands(2, 2, 1, 2)}));
    server.Take();
    REQUIRE(server.writing.size() == 3);
    CHECK(again.value().gate == 3);
    server.FinishOne();
    CHECK(server->durable_index() == Index(1));
    server.FinishOne();
    CHECK(server->durable_index() == Index(1));
    server.FinishOne();
    CHECK(server->durable_index() == Index(2));
    CHECK(server->FinishAppend(again.value()).durable_match == Index(2));
  }

  TEST_CASE("B16: old and repeated appends in any order leave the log as it is") {
    Server server;
    auto a = server.AppendArgs(2, 2, 1, 1, {Commands(2, 2, 2, 2)});
    auto b = server.AppendArgs(2, 2, 3, 2, {Commands(4, 2, 1, 2), Commands(5, 2, 3, 2)});
    for (const auto& args : {a, b, a, a, b, a}) CHECK(server.Append(args).success);
    CHECK(server.Terms() == std::vector<uint64_t>{1, 2, 2, 2, 2, 2, 2});
    CHECK(server.disk.batches().size() == 4);
  }

  TEST_CASE("logs that split batches differently are repaired inside a batch") {
    Server shorter({.terms = {1, 2, 2}});  // single entries
    CHECK(shorter.Append(shorter.AppendArgs(2, 3, 1, 1, {Commands(2, 2, 5, 9)})).success);
    CHECK(shorter.Terms() == std::vector<uint64_t>{1, 2, 2, 2, 2, 2});
    Server longer({.terms = {1, 2, 2, 3, 3}});
    AppendEntriesResults results =
        longer.Append(longer.AppendArgs(2, 4, 1, 1, {Commands(2, 2, 3, 9), Commands(5, 4, 1, 2)}));
    CHECK(results.success);
    CHECK(results.durable_match == Index(5));
    CHECK(longer.Terms() == std::vector<uint64_t>{1, 2, 2, 2, 4});
    Server whole;
    whole.Append(whole.AppendArgs(2, 2, 1, 1, {Commands(2, 2, 5, 2)}));
    CHECK(whole.Append(whole.AppendArgs(3, 3, 1, 1, {Commands(2, 2, 2, 2), Commands(4, 3, 1, 3)})).success);
    CHECK(whole.Terms() == std::vector<uint64_t>{1, 2, 2, 3});
  }

  TEST_CASE("a refusal names the last entry that could match, and so skips whole terms (3.5)") {
    Server server({.terms = {1, 1, 2, 2, 5, 5}});
    AppendEntriesResults results = server.Append(server.AppendArgs(2, 6, 6, 3));
    CHECK_FALSE(results.success);
    CHECK(results.conflict.index == Index(4));
    CHECK(results.conflict.term == Term(2));
    results = server.Append(server.AppendArgs(2, 6, 60, 6));
    CHECK(results.conflict.index == Index(6));
    CHECK(results.conflict.term == Term(5));
  }
}

TEST_SUITE("follower: malformed appends") {
  TEST_CASE("I9: an append that no leader sends is refused and changes nothing") {
    Server server({.terms = {1, 1, 2}});
    auto good = server.AppendArgs(2, 3, 3, 2, {Commands(4, 3, 1, 2)});
    auto refuse = [&](const AppendEntriesArgs& args) {
      CHECK(CodeOf(server->OnAppendEntries(server.now, args)) == Errc::kProtocol);
      CHECK(server->term() == Term(2));
      CHECK(server->last_index() == Index(3));
      CHECK_FALSE(server->HasWrite());
      server->CheckInvariants();
    };
    auto args = good;
    args.group = GroupId(9);
    refuse(args);
    args = good;
    args.to = NodeId(3);
    refuse(args);
    args = good;
    args.leader_id = NodeId(1);
    refuse(args);
    args = good;
    args.leader_id = NodeId(0);
    refuse(args);
    args = good;
    args.term = Term(~uint64_t{0});
    refuse(args);
    args = good;
    args.prev_index = Index(~uint64_t{0});
    refuse(args);
    args = good;
    args.leader_commit = Index(~uint64_t{0});
    refuse(args);
    args = good;
    args.prev_term = Term(4);
    refuse(args);
    args = good;
    args.prev_term = Term(0);
    refuse(args);
    args = good;
    args.prev_index = Index(0);
    refuse(args);
    args = good;
    args.entries = {Commands(5, 3, 1, 2)};  // a gap
    refuse(args);
    args.entries = {Commands(4, 3, 2, 2), Commands(5, 3, 1, 2)};  // an overlap
    refuse(args);
    args.entries = {Commands(4, 4, 1, 2)};  // a later term than the leader's
    refuse(args);
    args.entries = {Commands(4, 1, 1, 2)};  // an earlier term than the entry before
    refuse(args);
    args.entries = {Commands(4, 3, 1, 3)};  // another leader's batch in this leader's term
    refuse(args);
    args.entries = {BatchRef()};
    refuse(args);
    BatchBuilder builder;
    builder.Add(LogEntryType::kConfiguration, "nonsense");
    args.entries = {builder.Seal(Index(4), Term(3), NodeId(2), kGroup, 0)};
    refuse(args);
    CHECK(server.Append(good).success);
  }

  TEST_CASE("a second leader in one term is refused") {
    Server server;
    server.Append(server.AppendArgs(2, 3, 1, 1));
    CHECK(CodeOf(server->OnAppendEntries(server.now, server.AppendArgs(3, 3, 1, 1))) == Errc::kProtocol);
    Server leader;
    leader.Lead();
    CHECK(CodeOf(leader->OnAppendEntries(leader.now, leader.AppendArgs(3, 2, 1, 1))) == Errc::kProtocol);
    CHECK(leader->is_leader());
  }

  TEST_CASE("B4: a committed entry is never truncated, and no leader contradicts itself") {
    Server server({.terms = {1, 1, 1}});
    server.Append(server.AppendArgs(2, 2, 3, 1, {}, 3));
    REQUIRE(server->commit_index() == Index(3));
    CHECK(CodeOf(server->OnAppendEntries(server.now, server.AppendArgs(3, 4, 1, 1, {Commands(2, 4, 1, 3)}))) ==
          Errc::kProtocol);
    CHECK(server.Terms() == std::vector<uint64_t>{1, 1, 1});
    Server other({.terms = {1, 1, 1}});
    other.Append(other.AppendArgs(2, 4, 3, 1));
    CHECK(CodeOf(other->OnAppendEntries(other.now, other.AppendArgs(2, 4, 1, 1, {Commands(2, 4, 1, 2)}))) ==
          Errc::kProtocol);
    CHECK(other.Terms() == std::vector<uint64_t>{1, 1, 1});
  }
}

}  // namespace
}  // namespace ringraft::core
