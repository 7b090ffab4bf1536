// Redis's glob patterns: * ? [abc] [a-z] [^a] and \ before a literal character.
#pragma once

#include <string_view>

namespace ringraft::kv {

// Time is at most the product of the two lengths, whatever the pattern.
bool GlobMatches(std::string_view pattern, std::string_view text);

}  // namespace ringraft::kv
