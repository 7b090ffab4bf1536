// TermHistory, compared with a plain list of terms.
#include "core/term_history.h"

#include <doctest/doctest.h>

#include <cstdint>

namespace ringraft::core {
namespace {

struct Plain {
  std::vector<uint64_t> terms;  // of entry i + 1

  Term TermAt(Index index) const {
    return index == Index(0) || index.value() > terms.size() ? Term(0) : Term(terms[index.value() - 1]);
  }
  LogPosition LastNotAfter(Index index, Term term) const {
    for (uint64_t i = std::min<uint64_t>(index.value(), terms.size()); i > 0; --i) {
      if (Term(terms[i - 1]) <= term) return LogPosition{Index(i), Term(terms[i - 1])};
    }
    return LogPosition{};
  }
};

void CheckSame(const TermHistory& history, const Plain& plain) {
  REQUIRE(history.last_index() == Index(plain.terms.size()));
  REQUIRE(history.last_term() == plain.TermAt(history.last_index()));
  for (uint64_t index = 0; index <= plain.terms.size() + 2; ++index) {
    REQUIRE(history.TermAt(Index(index)) == plain.TermAt(Index(index)));
    for (uint64_t term = 0; term <= 9; ++term) {
      REQUIRE(history.LastNotAfter(Index(index), Term(term)) == plain.LastNotAfter(Index(index), Term(term)));
      bool match = index <= plain.terms.size() && plain.TermAt(Index(index)) == Term(term);
      REQUIRE(history.Match(Index(index), Term(term)) == match);
    }
  }
}

TEST_SUITE("term history") {
  TEST_CASE("an empty history matches only index 0") {
    TermHistory history;
    CheckSame(history, Plain{});
    CHECK(history.Match(Index(0), Term(0)));
    CHECK_FALSE(history.Match(Index(1), Term(0)));
    CHECK_FALSE(history.Match(Index(1), Term(1)));
  }

  TEST_CASE("it agrees with a plain list of terms through appends and truncations") {
    uint64_t random = 12345;
    auto draw = [&](uint64_t n) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      return (random >> 33) % n;
    };
    for (int round = 0; round < 60; ++round) {
      TermHistory history;
      Plain plain;
      for (int step = 0; step < 20; ++step) {
        if (draw(4) == 0) {
          uint64_t cut = draw(plain.terms.size() + 2);
          history.TruncateAfter(Index(cut));
          if (cut < plain.terms.size()) plain.terms.resize(cut);
        } else {
          uint64_t term = std::min<uint64_t>(8, std::max<uint64_t>(1, history.last_term().value() + draw(3)));
          uint64_t count = 1 + draw(3);
          plain.terms.insert(plain.terms.end(), count, term);
          history.Append(Index(plain.terms.size()), Term(term));
        }
        CheckSame(history, plain);
      }
      CheckSame(TermHistory(history.runs(), history.last_index()), plain);
    }
  }

  TEST_CASE("runs are merged: each term has one run") {
    TermHistory history;
    history.Append(Index(3), Term(1));
    history.Append(Index(5), Term(1));
    history.Append(Index(6), Term(4));
    REQUIRE(history.runs().size() == 2);
    CHECK(history.runs()[1] == TermRun{Index(6), Term(4)});
    history.TruncateAfter(Index(5));
    CHECK(history.runs().size() == 1);
    history.TruncateAfter(Index(0));
    CHECK(history.runs().empty());
  }
}

}  // namespace
}  // namespace ringraft::core
