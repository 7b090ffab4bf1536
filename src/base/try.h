// RINGRAFT_TRY(name, expression) evaluates a Result: `auto name = value`, or it returns the error. RINGRAFT_TRYV does
// so for Result<void>. RINGRAFT_CO_TRY and RINGRAFT_CO_TRYV are for coroutines; name the awaited result first, since
// statement expressions around co_await do not compile.
#pragma once

#include "ringraft/errc.h"

#define RINGRAFT_TRY_JOIN2(a, b) a##b
#define RINGRAFT_TRY_JOIN(a, b) RINGRAFT_TRY_JOIN2(a, b)

#define RINGRAFT_TRY_AS(ret, temporary, name, ...) \
  auto&& temporary = (__VA_ARGS__);                \
  if (!temporary) [[unlikely]]                     \
    ret ::ringraft::Error(temporary.error());      \
  auto name = std::move(temporary).assume_value()
#define RINGRAFT_TRYV_AS(ret, temporary, ...)                    \
  if (auto&& temporary = (__VA_ARGS__); !temporary) [[unlikely]] \
  ret ::ringraft::Error(temporary.error())

#define RINGRAFT_TRY(name, ...) RINGRAFT_TRY_AS(return, RINGRAFT_TRY_JOIN(try_, __LINE__), name, __VA_ARGS__)
#define RINGRAFT_CO_TRY(name, ...) RINGRAFT_TRY_AS(co_return, RINGRAFT_TRY_JOIN(try_, __LINE__), name, __VA_ARGS__)
#define RINGRAFT_TRYV(...) RINGRAFT_TRYV_AS(return, RINGRAFT_TRY_JOIN(try_, __LINE__), __VA_ARGS__)
#define RINGRAFT_CO_TRYV(...) RINGRAFT_TRYV_AS(co_return, RINGRAFT_TRY_JOIN(try_, __LINE__), __VA_ARGS__)
