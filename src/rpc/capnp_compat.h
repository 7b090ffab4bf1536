// Include this before any header of Cap'n Proto. The headers of 0.9.2 (Debian 12) compare `const char*` with
// kj::StringPtr, which is ambiguous for clang 19 in C++20. This header declares the missing operator before them.
#pragma once

#include <kj/string.h>

#if defined(__clang__) && __cplusplus >= 202002L
namespace kj {
inline bool operator==(const char* left, const StringPtr& right) { return right == StringPtr(left); }
}  // namespace kj
#endif
