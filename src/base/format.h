// What fmt prints of the public types: strong numbers as numbers, addresses as their text. Not in include/ringraft, so
// that the public headers do without fmt.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "ringraft/types.h"

template <class Tag>
struct fmt::formatter<ringraft::StrongNumber<Tag>> : fmt::formatter<uint64_t> {
  auto format(const ringraft::StrongNumber<Tag>& number, fmt::format_context& context) const {
    return fmt::formatter<uint64_t>::format(number.value(), context);
  }
};

template <>
struct fmt::formatter<ringraft::Addr> : fmt::formatter<std::string_view> {
  auto format(const ringraft::Addr& addr, fmt::format_context& context) const {
    return fmt::formatter<std::string_view>::format(addr.text(), context);
  }
};
