// Compiled without optimization, where g++ 12 makes no tail call of symmetric transfer, whatever the build says.
#include <doctest/doctest.h>

#include <exception>

#include "ringraft/task.h"

namespace ringraft {
namespace {

Task<int> Value(int value) { co_return value; }

Task<void> Sum(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    auto value = Value(i);
    sum += co_await value;
  }
}

struct Starter {
  struct promise_type {
    Starter get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
Starter Run(Task<void> task, bool& is_done) {
  co_await task;
  is_done = true;
}

}  // namespace

TEST_CASE("a million awaits that complete at once use constant stack, also where nothing is optimized (H4)") {
  int64_t sum = 0;
  bool is_done = false;
  Run(Sum(1'000'000, sum), is_done);
  CHECK(is_done);
  CHECK(sum == 499'999'500'000);
}

}  // namespace ringraft
