// The paper's Figure 7: possible logs of followers when a leader is elected, and their repair (section 5.3).
#include <doctest/doctest.h>

#include "server.h"

namespace ringraft::core {
namespace {

TEST_SUITE("figure 7: 5.3 log replication") {
  TEST_CASE("every follower's log becomes the leader's; each refusal skips a whole term") {
    struct Case {
      const char* name;
      std::vector<uint64_t> terms;
      size_t most_refusals;
    };
    const std::vector<uint64_t> leaders = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    const std::vector<Case> cases = {
        {"a: one entry is missing", {1, 1, 1, 4, 4, 5, 5, 6, 6}, 1},
        {"b: many entries are missing", {1, 1, 1, 4}, 1},
        {"c: one extra entry", {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}, 0},
        {"d: a whole extra term", {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, 0},
        {"e: missing and extra entries", {1, 1, 1, 4, 4, 4, 4}, 2},
        {"f: two terms that no other server has", {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}, 2},
        {"an empty log", {}, 1},
    };
    for (const Case& c : cases) {
      CAPTURE(c.name);
      Server leader({.terms = leaders, .term = 7});
      leader.Win();
      Server follower = Server::Empty(2);
      if (!c.terms.empty()) follower = Server({.self = 2, .terms = c.terms});
      size_t refused = BringUpToDate(leader, follower);
      CHECK(follower.Terms() == leader.Terms());
      CHECK(follower.Terms().back() == 8);
      CHECK(follower.disk.history().last_index() == Index(11));
      CHECK(refused <= c.most_refusals);
      CHECK(leader->PeerStatuses(leader.now)[1].match_index == Index(11));
    }
  }

  TEST_CASE("long logs that diverge early are repaired with at most one refusal per term") {
    std::vector<uint64_t> leaders = {1};
    std::vector<uint64_t> followers = {1};
    for (uint64_t term = 2; term <= 21; ++term) {
      (term % 2 == 0 ? leaders : followers).insert((term % 2 == 0 ? leaders : followers).end(), 50, term);
    }
    Server leader({.terms = leaders, .term = 40});
    leader.Win();
    Server follower({.self = 2, .terms = followers});
    CHECK(BringUpToDate(leader, follower) <= 20);
    CHECK(follower.Terms() == leader.Terms());
  }
}

}  // namespace
}  // namespace ringraft::core
