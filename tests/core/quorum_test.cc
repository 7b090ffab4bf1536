// Majorities of 1 to 9 voters, and of joint configurations (hazard B15).
#include "core/quorum.h"

#include <doctest/doctest.h>

#include <bit>

#include "server.h"

namespace ringraft::core {
namespace {

Configuration Voters(uint64_t count, uint64_t old_from = 0, uint64_t old_to = 0) {
  Configuration configuration;
  for (uint64_t id = 1; id <= count; ++id) configuration.voters.push_back(MakePeer(id));
  for (uint64_t id = old_from; id != 0 && id <= old_to; ++id) configuration.old_voters.push_back(MakePeer(id));
  return configuration;
}

bool InMask(uint64_t mask, NodeId id) { return (mask >> (id.value() - 1) & 1) != 0; }
// Whether a strict majority of the voters from..to is in the mask.
bool MajorityOf(uint64_t mask, uint64_t from, uint64_t to) {
  uint64_t count = 0;
  for (uint64_t id = from; id <= to; ++id) count += InMask(mask, NodeId(id));
  return 2 * count > to - from + 1;
}

TEST_SUITE("quorum") {
  TEST_CASE("B15: a quorum of 1 to 9 voters is a strict majority, for every set of replies") {
    const uint64_t needed[] = {0, 1, 2, 2, 3, 3, 4, 4, 5, 5};
    for (uint64_t n = 1; n <= 9; ++n) {
      Configuration configuration = Voters(n);
      for (uint64_t mask = 0; mask < (uint64_t{1} << n); ++mask) {
        bool expected = static_cast<uint64_t>(std::popcount(mask)) >= needed[n];
        REQUIRE(HasQuorum(configuration, [&](const Member& voter) { return InMask(mask, voter.id); }) == expected);
        bool can = n - static_cast<uint64_t>(std::popcount(mask)) >= needed[n];
        REQUIRE(CanReachQuorum(configuration, [&](const Member& voter) { return InMask(mask, voter.id); }) == can);
      }
    }
  }

  TEST_CASE("B15: the quorum index of 1 to 9 voters is the largest index that a majority has") {
    for (uint64_t n = 1; n <= 9; ++n) {
      Configuration configuration = Voters(n);
      // The voters have n distinct matches in a scrambled order.
      auto match = [&](const Member& voter) { return Index(10 * (1 + voter.id.value() * 7 % 11)); };
      Index agreed = QuorumIndex(configuration, match);
      auto has = [&](Index index) {
        return HasQuorum(configuration, [&](const Member& voter) { return match(voter) >= index; });
      };
      CHECK(has(agreed));
      CHECK_FALSE(has(agreed + 1));
    }
  }

  TEST_CASE("B15: a joint configuration needs a majority of each half (4.3)") {
    for (uint64_t n = 1; n <= 4; ++n) {
      for (uint64_t old_from = 1; old_from <= n + 1; ++old_from) {
        for (uint64_t old_to = old_from; old_to <= 6; ++old_to) {
          Configuration configuration = Voters(n, old_from, old_to);
          for (uint64_t mask = 0; mask < 64; ++mask) {
            bool both = MajorityOf(mask, 1, n) && MajorityOf(mask, old_from, old_to);
            REQUIRE(HasQuorum(configuration, [&](const Member& voter) { return InMask(mask, voter.id); }) == both);
            bool can = MajorityOf(~mask, 1, n) && MajorityOf(~mask, old_from, old_to);
            REQUIRE(CanReachQuorum(configuration, [&](const Member& voter) { return InMask(mask, voter.id); }) == can);
            Index agreed =
                QuorumIndex(configuration, [&](const Member& voter) { return Index(InMask(mask, voter.id) ? 9 : 4); });
            REQUIRE(agreed == Index(both ? 9 : 4));
          }
        }
      }
    }
  }

  TEST_CASE("voters beyond the inline capacity are counted too") {
    Configuration configuration = Voters(41);
    CHECK(QuorumIndex(configuration, [](const Member& voter) { return Index(voter.id.value()); }) == Index(21));
  }

  TEST_CASE("an empty configuration has no quorum") {
    Configuration none;
    CHECK_FALSE(HasQuorum(none, [](const Member&) { return true; }));
    CHECK_FALSE(CanReachQuorum(none, [](const Member&) { return false; }));
    CHECK(QuorumIndex(none, [](const Member&) { return Index(5); }) == Index(0));
  }
}

}  // namespace
}  // namespace ringraft::core
