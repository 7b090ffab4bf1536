// Persistence: which entries a write makes durable, with truncations in between (hazards B10, B17).
#include "core/persistence.h"

#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("persistence") {
  TEST_CASE("everything pending is taken as one write; writes are numbered from 1") {
    Persistence persistence{Index(0)};
    CHECK_FALSE(persistence.HasWrite());
    persistence.SetHardState(HardState{Term(3), NodeId(1)});
    persistence.Append(Commands(1, 3, 2, 1));
    persistence.Append(Commands(3, 3, 1, 1));
    CHECK(persistence.HardStateGate() == 1);
    CHECK(persistence.LogGate(Index(3)) == 1);
    Write write = persistence.Next(TimePoint());
    CHECK(write.number == 1);
    CHECK(write.batches.size() == 2);
    CHECK(write.hard_state == HardState{Term(3), NodeId(1)});
    CHECK_FALSE(persistence.HasWrite());
    CHECK(persistence.LogGate(Index(2)) == 1);
    persistence.Append(Commands(4, 3, 1, 1));
    CHECK(persistence.LogGate(Index(3)) == 1);
    CHECK(persistence.LogGate(Index(4)) == 2);
    CHECK(persistence.OnPersisted(TimePoint(), 1));
    CHECK(persistence.durable_index() == Index(3));
    CHECK(persistence.HardStateGate() == 0);
    CHECK(persistence.LogGate(Index(3)) == 0);
  }

  TEST_CASE(
      "B10, B25: a write of entries that were overwritten acknowledges nothing, even if the same position is written "
      "again") {
    Persistence persistence{Index(0)};
    persistence.Append(Commands(1, 1, 1, 1));
    persistence.Append(Commands(2, 2, 1, 1));
    Write first = persistence.Next(TimePoint());
    persistence.TruncateAfter(Index(1));
    persistence.Append(Commands(2, 3, 1, 2));
    Write second = persistence.Next(TimePoint());
    persistence.TruncateAfter(Index(1));
    persistence.Append(Commands(2, 2, 1, 1));  // as in the first write
    CHECK(persistence.LogGate(Index(2)) == 3);
    Write third = persistence.Next(TimePoint());
    CHECK(second.truncate_after == Index(1));
    CHECK(third.truncate_after == Index(1));

    persistence.OnPersisted(TimePoint(), first.number);
    CHECK(persistence.durable_index() == Index(1));
    persistence.OnPersisted(TimePoint(), second.number);
    CHECK(persistence.durable_index() == Index(1));
    persistence.OnPersisted(TimePoint(), third.number);
    CHECK(persistence.durable_index() == Index(2));
    persistence.CheckInvariants(Index(2));
  }

  TEST_CASE("B10: truncating lowers the durable index") {
    Persistence persistence{Index(10)};
    CHECK(persistence.durable_index() == Index(10));
    persistence.TruncateAfter(Index(6));
    CHECK(persistence.durable_index() == Index(6));
    persistence.OnPersisted(TimePoint(), persistence.Next(TimePoint()).number);
    CHECK(persistence.durable_index() == Index(6));
  }

  TEST_CASE(
      "several truncations before a write is taken become one, at the smallest index, and drop pending entries after "
      "it") {
    Persistence persistence{Index(10)};
    persistence.TruncateAfter(Index(8));
    persistence.Append(Commands(9, 4, 1, 1));
    persistence.TruncateAfter(Index(5));
    persistence.Append(Commands(6, 5, 1, 1));
    persistence.Append(Commands(7, 5, 1, 1));
    persistence.TruncateAfter(Index(6));
    Write write = persistence.Next(TimePoint());
    CHECK(write.truncate_after == Index(5));
    REQUIRE(write.batches.size() == 1);
    CHECK(write.batches[0].first() == Index(6));
    persistence.CheckInvariants(Index(6));
  }

  TEST_CASE("B17: truncating only pending entries truncates nothing on the disk") {
    Persistence persistence{Index(2)};
    persistence.Append(Commands(3, 2, 4, 1));
    persistence.TruncateAfter(Index(2));
    CHECK_FALSE(persistence.HasWrite());
    persistence.TruncateAfter(Index(2));
    CHECK_FALSE(persistence.HasWrite());
    persistence.CheckInvariants(Index(2));
  }

  TEST_CASE("truncation inside a pending batch keeps the entries before it") {
    Persistence persistence{Index(2)};
    persistence.Append(Commands(3, 2, 4, 1));
    persistence.TruncateAfter(Index(4));
    Write write = persistence.Next(TimePoint());
    CHECK_FALSE(write.truncate_after.has_value());
    REQUIRE(write.batches.size() == 1);
    CHECK(write.batches[0].last() == Index(4));
  }

  TEST_CASE("completions may be reported together, and repeatedly") {
    Persistence persistence{Index(0)};
    for (uint64_t index = 1; index <= 3; ++index) {
      persistence.Append(Commands(index, 1, 1, 1));
      persistence.Next(TimePoint());
    }
    CHECK(persistence.OnPersisted(TimePoint(), 2));
    CHECK(persistence.durable_index() == Index(2));
    CHECK_FALSE(persistence.OnPersisted(TimePoint(), 1));
    CHECK(persistence.durable_index() == Index(2));
    CHECK(persistence.OnPersisted(TimePoint(), 3));
    CHECK(persistence.durable_index() == Index(3));
    persistence.CheckInvariants(Index(3));
  }
}

}  // namespace
}  // namespace ringraft::core
