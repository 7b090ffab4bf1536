// A unified diff of two short texts.
#pragma once

#include <string>
#include <string_view>

namespace ringraft::scenario {

// Empty if they are equal.
std::string UnifiedDiff(std::string_view name, std::string_view expected, std::string_view actual);

}  // namespace ringraft::scenario
