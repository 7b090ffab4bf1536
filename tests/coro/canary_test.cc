// Tests which patterns around co_await this compiler gets right. Each case counts constructions and destructions of
// objects inside one full expression with a co_await. The patterns that the public types rely on must be right
// on every compiler; the others are only reported, so that a compiler that fixes (or breaks) one is noticed. See
// CONTRIBUTING.md. H1 to H7 are rows of the catalogue of hazards (tests/CATALOGUE.md).
//
// One more pattern does not compile on g++ 12, so it has no case here: a braced initializer list inside the awaited
// call, as in `co_await Take({Named("a"), Named("b")})` ("array used as initializer").
#include <doctest/doctest.h>

#include <coroutine>
#include <string>
#include <tuple>
#include <utility>

#include "ringraft/task.h"
#include "starter.h"

namespace ringraft {
namespace {

struct Counts {
  int made = 0;
  int destroyed = 0;
};
Counts counts;

// Counts its instances; all types below have one. The constructor is user-written, so it is safe by itself.
struct Tracked {
  Tracked() { ++counts.made; }
  Tracked(const Tracked&) { ++counts.made; }
  Tracked(Tracked&&) noexcept { ++counts.made; }
  Tracked& operator=(const Tracked&) = default;
  ~Tracked() { ++counts.destroyed; }
};

struct Aggregate {
  Tracked tracked;
  int number = 0;
};

class WithConstructor {
 public:
  explicit WithConstructor(int number) : number_(number) {}
  int number_ = 0;
  Tracked tracked_;
};

class Fluent {
 public:
  Fluent() noexcept {}
  Fluent& Set(int number) {
    number_ = number;
    return *this;
  }
  int number_ = 0;
  Tracked tracked_;
};

// Really suspends, so that the temporaries must live in the frame.
struct Suspended {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { waiting = caller; }
  int await_resume() const noexcept { return 1; }
  static inline std::coroutine_handle<> waiting;
};

struct Awaitable {
  Awaitable() {}
  explicit Awaitable(Tracked tracked) : tracked(std::move(tracked)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) noexcept { Suspended::waiting = caller; }
  int await_resume() const noexcept { return 1; }
  Tracked tracked;
};

Suspended TakeAggregate(Aggregate) { return {}; }
Suspended TakeAggregateRef(const Aggregate&) { return {}; }
Suspended TakeConstructed(WithConstructor) { return {}; }
Suspended TakeConstructedRef(const WithConstructor&) { return {}; }
Suspended TakeFluent(Fluent) { return {}; }
Suspended TakeDefault(Fluent = Fluent().Set(3)) { return {}; }
Suspended TakeAggregateDefault(Aggregate = Aggregate{}) { return {}; }
template <class Function>
Suspended TakeFunction(Function) {
  return {};
}
Task<int> Child(Fluent) {
  auto suspended = Suspended();
  co_return co_await suspended;
}
Task<int> AggregateChild(Aggregate) {
  auto suspended = Suspended();
  co_return co_await suspended;
}

using Pattern = Task<void> (*)();

// Safe: the library's rules and public types allow these.
Task<void> NamedAggregate() {
  Aggregate named;
  auto operation = TakeAggregate(named);
  co_await operation;
}
Task<void> NamedLambda() {
  Tracked tracked;
  auto function = [tracked] { return 1; };
  auto operation = TakeFunction(function);
  co_await operation;
}
Task<void> ConstructedTemporary() { co_await TakeConstructed(WithConstructor(1)); }
Task<void> ConstructedTemporaryByReference() { co_await TakeConstructedRef(WithConstructor(1)); }
Task<void> FluentTemporary() { co_await TakeFluent(Fluent().Set(1).Set(2)); }
Task<void> DefaultArgument() { co_await TakeDefault(); }
Task<void> AwaitableTemporary() { co_await Awaitable(Tracked()); }
Task<void> TaskTemporary() { co_await Child(Fluent()); }
Task<void> NamedTask() {
  auto child = Child(Fluent().Set(2));
  co_await child;
}
Task<void> NamedInsteadOfTernary() {
  Awaitable left, right;
  Awaitable& chosen = counts.made > 0 ? left : right;
  co_await chosen;
}

// Unsafe on some compiler.
Task<void> AggregateTemporary() { co_await TakeAggregate(Aggregate{}); }
Task<void> AggregateTemporaryByReference() { co_await TakeAggregateRef(Aggregate{Tracked(), 1}); }
Task<void> AggregateDefaultArgument() { co_await TakeAggregateDefault(); }
Task<void> AggregateInTask() { co_await AggregateChild(Aggregate{}); }
Task<void> LambdaTemporary() {
  Tracked tracked;
  co_await TakeFunction([tracked] { return 1; });
}
Task<void> Ternary() {
  const bool is_left = counts.made == 0;
  const int value = is_left ? co_await Awaitable(Tracked()) : 0;
  (void)value;
}
Task<void> TernaryOperands() {
  const bool is_left = counts.made == 0;
  co_await (is_left ? Awaitable() : Awaitable(Tracked()));
}

Task<std::tuple<Tracked, std::string>> Pair() {
  auto suspended = Suspended();
  co_await suspended;
  co_return std::tuple<Tracked, std::string>(Tracked(), std::string(100, 'x'));
}
// g++ 15.0 to 15.2 do not destroy the bound object (GCC PR 124584); the rule is to name the result first.
Task<void> NamedBeforeBinding() {
  auto pair = Pair();
  auto both = co_await pair;
  auto& [tracked, text] = both;
  (void)tracked;
  if (text.size() != 100) counts.made += 1000;
}
Task<void> StructuredBinding() {
  auto [tracked, text] = co_await Pair();
  (void)tracked;
  if (text.size() != 100) counts.made += 1000;
}

// Destroys the awaiting coroutine inside await_suspend (GCC PR 121961, a crash in g++ 15).
struct DestroysCaller {
  bool await_ready() const noexcept { return false; }
  [[gnu::noinline]] void await_suspend(std::coroutine_handle<> caller) noexcept { caller.destroy(); }
  void await_resume() const noexcept {}
};
struct Doomed {
  struct promise_type {
    Doomed get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
Doomed DestroyedInAwaitSuspend(Tracked parameter) {
  Tracked local;
  Tracked& both = counts.made > 0 ? local : parameter;
  (void)both;
  DestroysCaller awaitable;
  co_await awaitable;
  counts.made += 1000;  // never
}

struct Verdict {
  bool is_done = false;
  Counts counts;
  bool is_right() const { return is_done && counts.made > 0 && counts.made == counts.destroyed; }
};

Verdict Try(Pattern pattern) {
  counts = Counts();
  Verdict verdict;
  Run(pattern(), verdict.is_done);
  while (Suspended::waiting) std::exchange(Suspended::waiting, nullptr).resume();
  verdict.counts = counts;
  return verdict;
}

struct Case {
  const char* name;
  Pattern pattern;
};

}  // namespace

TEST_CASE("H1, H2, H3, H6, H7: patterns that the rules allow destroy each object exactly once") {
  const Case cases[] = {
      {"named aggregate", NamedAggregate},
      {"named lambda", NamedLambda},
      {"temporary with a user-written constructor", ConstructedTemporary},
      {"the same by reference", ConstructedTemporaryByReference},
      {"fluent temporary, as HandleOptions", FluentTemporary},
      {"default argument with a user-written constructor", DefaultArgument},
      {"temporary awaitable with a user-written constructor", AwaitableTemporary},
      {"temporary task", TaskTemporary},
      {"named task", NamedTask},
      {"a reference chosen by ?: before the await", NamedInsteadOfTernary},
      {"a structured binding to a named tuple", NamedBeforeBinding},
  };
  for (const Case& one : cases) {
    const std::string name = one.name;
    CAPTURE(name);
    const Verdict verdict = Try(one.pattern);
    CHECK(verdict.is_done);
    CHECK(verdict.counts.made > 0);
    CHECK(verdict.counts.made == verdict.counts.destroyed);
  }
}

TEST_CASE("H7: a coroutine destroyed inside await_suspend destroys all that it holds, once") {
  counts = Counts();
  DestroyedInAwaitSuspend(Tracked());
  CHECK(counts.made >= 3);
  CHECK(counts.made < 1000);
  CHECK(counts.made == counts.destroyed);
}

TEST_CASE("H1, H2, H3, H6, H7: patterns that the lint forbids are reported per compiler") {
  const Case cases[] = {
      {"aggregate temporary", AggregateTemporary},
      {"aggregate temporary by reference", AggregateTemporaryByReference},
      {"aggregate default argument", AggregateDefaultArgument},
      {"aggregate temporary given to a task", AggregateInTask},
      {"capturing lambda temporary", LambdaTemporary},
      {"co_await inside ?:", Ternary},
      {"?: between temporary awaitables", TernaryOperands},
      {"structured binding of what is awaited", StructuredBinding},
  };
  int wrong = 0;
  for (const Case& one : cases) {
    const Verdict verdict = Try(one.pattern);
    if (!verdict.is_right()) ++wrong;
    MESSAGE(std::string(one.name) << ": " << (verdict.is_right() ? "right" : "WRONG") << " (made "
                                  << verdict.counts.made << ", destroyed " << verdict.counts.destroyed << ")");
  }
#ifdef __clang__
  CHECK(wrong == 0);
#endif
  MESSAGE("compiler " __VERSION__ ": " << wrong << " forbidden patterns are wrong");
}

}  // namespace ringraft
