#include "diff.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace ringraft::scenario {
namespace {

constexpr size_t kContext = 3;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

struct Edit {
  char sign;  // ' ', '-' or '+'
  std::string_view line;
};

// By the longest common subsequence.
std::vector<Edit> Edits(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  std::vector<std::vector<uint32_t>> common(a.size() + 1, std::vector<uint32_t>(b.size() + 1, 0));
  for (size_t i = a.size(); i-- > 0;) {
    for (size_t j = b.size(); j-- > 0;) {
      common[i][j] = a[i] == b[j] ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    }
  }
  std::vector<Edit> edits;
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    if (i < a.size() && j < b.size() && a[i] == b[j]) {
      edits.push_back({' ', a[i++]});
      ++j;
    } else if (i < a.size() && (j == b.size() || common[i + 1][j] >= common[i][j + 1])) {
      edits.push_back({'-', a[i++]});
    } else {
      edits.push_back({'+', b[j++]});
    }
  }
  return edits;
}

}  // namespace

std::string UnifiedDiff(std::string_view name, std::string_view expected, std::string_view actual) {
  if (expected == actual) return "";
  const std::vector<Edit> edits = Edits(Lines(expected), Lines(actual));
  std::string text = "--- " + std::string(name) + " (expected)\n+++ " + std::string(name) + " (actual)\n";
  size_t old_line = 1;
  size_t new_line = 1;
  for (size_t at = 0; at < edits.size();) {
    auto is_change = [](const Edit& edit) { return edit.sign != ' '; };
    const auto change = std::find_if(edits.begin() + static_cast<ptrdiff_t>(at), edits.end(), is_change);
    if (change == edits.end()) break;
    const auto position = static_cast<size_t>(change - edits.begin());
    const size_t begin = std::max(at, position - std::min(position, kContext));
    old_line += begin - at;
    new_line += begin - at;
    // The hunk ends where more than twice the context is unchanged.
    size_t end = position + 1;
    for (size_t i = end; i < edits.size() && i <= end + 2 * kContext; ++i) {
      if (is_change(edits[i])) end = i + 1;
    }
    end = std::min(edits.size(), end + kContext);
    size_t old_count = 0;
    size_t new_count = 0;
    std::string hunk;
    for (size_t i = begin; i < end; ++i) {
      old_count += edits[i].sign != '+';
      new_count += edits[i].sign != '-';
      hunk += edits[i].sign + std::string(edits[i].line) + "\n";
    }
    text += "@@ -" + std::to_string(old_line) + "," + std::to_string(old_count) + " +" + std::to_string(new_line) +
            "," + std::to_string(new_count) + " @@\n" + hunk;
    old_line += old_count;
    new_line += new_count;
    at = end;
  }
  return text;
}

}  // namespace ringraft::scenario
