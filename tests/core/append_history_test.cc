// AppendHistory: how far a peer lags, in bytes and in time.
#include "core/append_history.h"

#include <doctest/doctest.h>

namespace ringraft::core {
namespace {

constexpr Duration kMs = std::chrono::milliseconds(1);

TEST_SUITE("append history") {
  TEST_CASE("a lag is the bytes appended after an index, and the time since the first of them") {
    const TimePoint start{};
    AppendHistory history(Index(10), start);
    history.Append(Index(11), 100, start + 5 * kMs);
    history.Append(Index(15), 400, start + 7 * kMs);
    const TimePoint now = start + 20 * kMs;
    CHECK(history.Behind(Index(15), now).bytes == 0);
    CHECK(history.Behind(Index(15), now).time == Duration::zero());
    CHECK(history.Behind(Index(11), now).bytes == 400);
    CHECK(history.Behind(Index(11), now).time == 13 * kMs);
    CHECK(history.Behind(Index(13), now).bytes == 400);  // inside a batch: all of it counts
    CHECK(history.Behind(Index(10), now).bytes == 500);
    CHECK(history.Behind(Index(10), now).time == 15 * kMs);
    CHECK(history.Behind(Index(3), now).bytes == 500);  // entries before the start do not count
    CHECK(history.Behind(Index(3), now).time == 20 * kMs);
  }

  TEST_CASE("truncated entries do not count as a lag") {
    const TimePoint start{};
    AppendHistory history(Index(10), start);
    history.Append(Index(12), 100, start + 5 * kMs);
    history.Append(Index(14), 100, start + 6 * kMs);
    history.TruncateAfter(Index(12));
    CHECK(history.Behind(Index(12), start + 9 * kMs).bytes == 0);
    CHECK(history.Behind(Index(10), start + 9 * kMs).bytes == 100);
    history.TruncateAfter(Index(8));  // before the start
    history.Append(Index(9), 7, start + 9 * kMs);
    CHECK(history.Behind(Index(8), start + 9 * kMs).bytes == 7);
  }

  TEST_CASE("its size is bounded, it keeps the start and is most precise about recent entries") {
    const TimePoint start{};
    AppendHistory history(Index(0), start);
    constexpr uint64_t kAppends = 100'000;
    for (uint64_t i = 1; i <= kAppends; ++i) {
      history.Append(Index(i), 10, start + static_cast<int64_t>(i) * kMs);
      REQUIRE(history.size() <= AppendHistory::kMaxMarks);
    }
    const TimePoint now = start + static_cast<int64_t>(kAppends) * kMs;
    CHECK(history.Behind(Index(0), now).bytes == 10 * kAppends);
    for (uint64_t back = 0; back <= kAppends; ++back) {
      const AppendHistory::Lag lag = history.Behind(Index(kAppends - back), now);
      REQUIRE(lag.bytes >= 10 * back);
      REQUIRE(lag.bytes <= 10 * (back + back / AppendHistory::kResolution));
      REQUIRE(lag.time <= static_cast<int64_t>(back) * kMs);
    }
  }
}

}  // namespace
}  // namespace ringraft::core
