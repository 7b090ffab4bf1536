// fmt formatters of the public types: strong numbers print as numbers, addresses as their text. Not in
// include/ringraft, so that the public headers do not need fmt.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "ringraft/types.h"

// Without format specifications: formatters that inherit fmt's parsing of them get false warnings from g++ 12
// (-Wstringop-overflow).
template <class Tag>
struct fmt::formatter<ringraft::StrongNumber<Tag>> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ringraft::StrongNumber<Tag>& number, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "{}", number.value());
  }
};

template <>
struct fmt::formatter<ringraft::Addr> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const ringraft::Addr& addr, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "{}", addr.text());
  }
};
