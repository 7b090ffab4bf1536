// Compiled without optimization in every build: there g++ 12 does not compile symmetric transfer to a tail call (hazard
// H4 in tests/CATALOGUE.md).
#include <doctest/doctest.h>

#include "ringraft/task.h"
#include "starter.h"

namespace ringraft {
namespace {

Task<int> Value(int value) { co_return value; }

Task<void> Sum(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    auto value = Value(i);
    sum += co_await value;
  }
}

}  // namespace

TEST_CASE("H4: a million awaits that complete at once use constant stack without optimization") {
  int64_t sum = 0;
  bool is_done = false;
  Run(Sum(1'000'000, sum), is_done);
  CHECK(is_done);
  CHECK(sum == 499'999'500'000);
}

}  // namespace ringraft
