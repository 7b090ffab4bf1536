// What the state machine gets, what stays in memory, and what a recovered log must satisfy.
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("apply") {
  TEST_CASE("F14: a durable machine gets only entries that are durable on its own disk") {
    Server server({.applied = 1});
    auto ticket = server->OnAppendEntries(server.now, server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 2, 2)}, 3));
    REQUIRE(ticket.has_value());
    CHECK(server->commit_index() == Index(3));
    CHECK(std::holds_alternative<std::monostate>(server->NextApply(1 << 20, true)));
    NextApplyResult now = server->NextApply(1 << 20, false);
    CHECK(std::holds_alternative<std::vector<BatchRef>>(now));
    server->OnApplied(Index(1));
    server.Persist();
    CHECK(std::holds_alternative<std::vector<BatchRef>>(server->NextApply(1 << 20, true)));
  }

  TEST_CASE("after a partial apply the rest follows, and bytes count until all of the batch is applied") {
    Server server({.applied = 1});
    server.Append(server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 5, 2)}, 6));
    size_t bytes = server->unapplied_bytes();
    CHECK(bytes > 0);
    NextApplyResult next = server->NextApply(1, false);
    CHECK(std::get<std::vector<BatchRef>>(next).front().header().count == 5);
    server->OnApplied(Index(3));
    CHECK(server->unapplied_bytes() == bytes);
    next = server->NextApply(1, false);
    const auto& rest = std::get<std::vector<BatchRef>>(next);
    CHECK(rest.front().first() == Index(4));
    CHECK(rest.front().last() == Index(6));
    server->OnApplied(Index(6));
    CHECK(server->unapplied_bytes() == 0);
    server->CheckInvariants();
  }

  TEST_CASE("entries read from beyond the commit index are not applied") {
    Server server({.terms = {1, 1, 1, 1}});
    server.Append(server.AppendArgs(2, 2, 2, 1, {}, 2));
    NextApplyResult next = server->NextApply(1 << 20, false);
    REQUIRE(std::holds_alternative<ReadRequest>(next));
    auto batches = server->OnApplyRead(server.disk.Read(Index(1), 1 << 20), false);
    REQUIRE(batches.size() == 2);
    CHECK(batches.back().last() == Index(2));
    CHECK(std::holds_alternative<std::monostate>(server->NextApply(1 << 20, false)));
  }

  TEST_CASE("a commit index inside a batch, as after different splits, limits what is applied") {
    Server server;
    server.Append(server.AppendArgs(2, 1, 1, 1, {Commands(2, 1, 5, 2)}));
    server.Restart();
    server.Append(server.AppendArgs(2, 1, 3, 1, {}, 3));
    REQUIRE(std::holds_alternative<ReadRequest>(server->NextApply(1 << 20, false)));
    auto batches = server->OnApplyRead(server.disk.Read(Index(1), 1 << 20), false);
    REQUIRE(batches.size() == 2);
    CHECK(batches.back().last() == Index(3));
    server->CheckInvariants();
    server->OnApplied(Index(3));
    server.Append(server.AppendArgs(2, 1, 6, 1, {}, 5));
    batches = server->OnApplyRead(server.disk.Read(Index(4), 1 << 20), false);
    REQUIRE(batches.size() == 1);
    CHECK(batches.back().first() == Index(4));
    CHECK(batches.back().last() == Index(5));
  }

  TEST_CASE("the cached tail keeps all entries that are not durable, and up to twice the limit of unapplied ones") {
    CoreOptions options = TestOptions(1);
    options.cached_tail_bytes = 1000;
    Server server({}, options);
    for (uint64_t index = 2; index < 40; ++index) {
      REQUIRE(server->OnAppendEntries(server.now, server.AppendArgs(2, 1, index - 1, 1, {Commands(index, 1, 1, 2)}))
                  .has_value());
    }
    CHECK(server->cached_bytes() > 2600);
    server.Persist();
    CHECK(server->cached_bytes() <= 2000);
    CHECK(server->cached_bytes() > 1000);
  }
}

TEST_SUITE("recovery") {
  TEST_CASE("an inconsistent recovered log is refused") {
    auto code = [](const RecoveredLog& recovered) { return CodeOf(Core::CheckRecovered(recovered)); };
    RecoveredLog good;
    good.hard_state = HardState{Term(3), NodeId(1)};
    good.last_index = Index(5);
    good.terms = {TermRun{Index(1), Term(1)}, TermRun{Index(3), Term(2)}};
    good.configurations = {StoredConfiguration{Index(1), MakeConfiguration({1}).Encode()}};
    CHECK(code(good) == Errc::kOk);
    CHECK(code(RecoveredLog{}) == Errc::kOk);
    RecoveredLog bad = good;
    bad.terms[0].first_index = Index(2);
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.terms[1].first_index = Index(6);
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.terms[1].term = Term(1);
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.terms.clear();
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.hard_state.term = Term(1);
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.configurations[0].index = Index(6);
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.configurations[0].command.pop_back();
    CHECK(code(bad) == Errc::kCorrupt);
    bad = good;
    bad.last_index = Index(~uint64_t{0});
    CHECK(code(bad) == Errc::kCorrupt);
  }
}

}  // namespace
}  // namespace ringraft::core
