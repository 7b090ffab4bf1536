// Formats times and arbitrary bytes for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringraft::checker {

// "12.345 ms"; with nanoseconds only if they are not 0.
std::string Milliseconds(int64_t nanoseconds);

// Printable ASCII as it is, everything else and the backslash as \xNN.
std::string Printable(std::string_view bytes);

}  // namespace ringraft::checker
