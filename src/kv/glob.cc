#include "kv/glob.h"

#include <algorithm>
#include <cstddef>

namespace ringraft::kv {
namespace {

// Matches `c` against the class that begins after the '[' at `position`, and moves `position` past the class. A
// class without its ']' ends with the pattern.
bool MatchClass(std::string_view pattern, size_t& position, unsigned char c) {
  const bool is_negated = position < pattern.size() && pattern[position] == '^';
  if (is_negated) ++position;
  bool is_member = false;
  while (position < pattern.size() && pattern[position] != ']') {
    if (pattern[position] == '\\' && position + 1 < pattern.size()) {
      ++position;
      is_member |= static_cast<unsigned char>(pattern[position]) == c;
      ++position;
    } else if (position + 2 < pattern.size() && pattern[position + 1] == '-') {
      const auto from = static_cast<unsigned char>(pattern[position]);
      const auto to = static_cast<unsigned char>(pattern[position + 2]);
      is_member |= c >= std::min(from, to) && c <= std::max(from, to);
      position += 3;
    } else {
      is_member |= static_cast<unsigned char>(pattern[position]) == c;
      ++position;
    }
  }
  if (position < pattern.size()) ++position;  // the ']'
  return is_member != is_negated;
}

// Matches one character and moves `position` past its pattern. Not for '*'.
bool MatchOne(std::string_view pattern, size_t& position, char c) {
  const char p = pattern[position++];
  if (p == '?') return true;
  if (p == '[') return MatchClass(pattern, position, static_cast<unsigned char>(c));
  if (p == '\\' && position < pattern.size()) return pattern[position++] == c;
  return p == c;
}

}  // namespace

bool GlobMatches(std::string_view pattern, std::string_view text) {
  // Only the last '*' can ever have to take more: what an earlier one took was enough for all up to the next.
  size_t p = 0;
  size_t t = 0;
  size_t behind_star = std::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      behind_star = ++p;
      star_text = t;
      continue;
    }
    if (p < pattern.size() && MatchOne(pattern, p, text[t])) {
      ++t;
      continue;
    }
    if (behind_star == std::string_view::npos) return false;
    p = behind_star;
    t = ++star_text;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace ringraft::kv
