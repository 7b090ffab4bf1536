// fmt formatters of the public types: strong numbers print as numbers, addresses as their text. Not in
// include/ringraft, so that the public headers do not need fmt.
//
// They write to the output themselves: format_to of fmt would compile all of fmt's formatting into every source that
// includes this, which takes ten seconds a source. They take no format specifications: formatters that inherit fmt's
// parsing of them get false warnings from g++ 12 (-Wstringop-overflow).
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "ringraft/types.h"

template <class Tag>
struct fmt::formatter<ringraft::StrongNumber<Tag>> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ringraft::StrongNumber<Tag>& number, fmt::format_context& context) const {
    std::array<char, 20> digits;  // of the largest uint64_t
    const std::to_chars_result end = std::to_chars(digits.begin(), digits.end(), number.value());
    return std::copy(digits.begin(), end.ptr, context.out());
  }
};

template <>
struct fmt::formatter<ringraft::Addr> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ringraft::Addr& addr, fmt::format_context& context) const {
    const std::string_view text = addr.text();
    return std::copy(text.begin(), text.end(), context.out());
  }
};
