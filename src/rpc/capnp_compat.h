// To be included before anything of Cap'n Proto. The headers of 0.9.2 (Debian 12) compare `const char*` with
// kj::StringPtr, which clang 19 finds ambiguous in C++20; the operator that it misses is declared here before they are
// read.
#pragma once

#include <kj/string.h>

#if defined(__clang__) && __cplusplus >= 202002L
namespace kj {
inline bool operator==(const char* left, const StringPtr& right) { return right == StringPtr(left); }
}  // namespace kj
#endif
