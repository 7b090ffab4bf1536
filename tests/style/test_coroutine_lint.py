#!/usr/bin/env python3
"""The coroutine lint flags each forbidden pattern, and leaves sound code alone."""

import unittest

from coroutine_lint import findings

BAD = {
    "conditional": "Task<int> F() { auto x = flag ? co_await A() : co_await B(); }",
    "and": "Task<int> F() { if (ready && co_await A()) { G(); } }",
    "or": "Task<int> F() { bool done = co_await A() || late; }",
    "initialiser": "Task<int> F() { Pair pair{co_await A(), 1}; }",
    "initialiser of a return": "Task<int> F() { co_return Pair{1, co_await A()}; }",
    "initialiser in an argument": "Task<int> F() { G({co_await A()}); }",
    "aggregate": "Task<int> F() { co_await Foo{1, 2}; }",
    "aggregate argument": "Task<int> F() { auto r = co_await Call(Args{1, 2}); }",
    "initialiser list": "Task<int> F() { auto r = co_await Call({1, 2}); }",
    "capturing lambda": "Task<int> F() { co_await Call([&x] { return x; }); }",
    "structured binding": "Task<int> F() { auto [a, b] = co_await A(); }",
    "two in one": "Task<int> F() { Use(co_await A(), co_await B()); }",
    "catch": "Task<int> F() { try { G(); } catch (const E& e) { co_await A(); } }",
    "coroutine lambda": "void F() { auto f = [&x]() -> Task<void> { co_await x.A(); }; }",
    "coroutine lambda with this": "void F() { Start([this](int n) -> Task<void> { co_return; }(1)); }",
}

GOOD = {
    "named": "Task<int> F() { auto call = A(); auto r = co_await call; co_return r; }",
    "call": "Task<int> F() { auto r = co_await raft.Handle(command, HandleOptions().Timeout(10ms)); }",
    "macro": "Task<int> F() { RINGRAFT_CO_TRY(value, co_await call); }",
    "condition": "Task<int> F() { while (!done) { auto woken = signal.Wait(); co_await woken; } }",
    "awaited condition": "Task<int> F() { if (co_await call) { Foo foo{1}; } Bar bar{2}; }",
    "rvalue reference": "Task<int> F() { auto&& r = co_await call; }",
    "comment": "Task<int> F() { co_await call;  // is it late? then {stop} && go\n }",
    "string": 'Task<int> F() { co_await Log("ready? {} && {}"); }',
    "lambda without captures": "void F() { auto f = [](X& x) -> Task<void> { auto a = x.A(); co_await a; }; f(x); }",
    "capturing lambda that is not a coroutine": "Task<void> F() { auto f = [&] { return 1; }; co_await A(f); }",
    "block before": "Task<void> F() { if (a ? b : c) { G(); }\n co_await A(); }",
    "initialiser before": "Task<void> F() { Foo foo{1};\n co_await A(); }",
    "index": "Task<void> F() { co_await calls[i](x); }",
    "trailing return": "auto F() -> Task<Result<int>> { co_await A(); }",
    "case label": "Task<void> F() { switch (a) { case 1: { co_await A(); } } }",
    "digits": "Task<void> F() { co_await Sleep(1'000); char c = '{'; }",
}


class CoroutineLint(unittest.TestCase):
    def test_flags_what_is_forbidden(self):
        for name, source in BAD.items():
            with self.subTest(name):
                self.assertTrue(findings(source))

    def test_leaves_sound_code_alone(self):
        for name, source in GOOD.items():
            with self.subTest(name):
                self.assertEqual(findings(source), [])

    def test_names_the_line(self):
        self.assertEqual(findings("Task<int> F() {\n  // first\n  co_await Foo{1};\n}")[0][0], 3)


if __name__ == "__main__":
    unittest.main()
