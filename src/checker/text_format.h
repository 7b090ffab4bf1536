// How the checkers write for people: times, and bytes that may be anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ringraft::checker {

// "12.345 ms", to the microsecond; the nanoseconds follow only if there are any.
std::string Milliseconds(int64_t nanoseconds);

// Printable ASCII as it is, everything else and the backslash as \xNN.
std::string Printable(std::string_view bytes);

}  // namespace ringraft::checker
