#include "words.h"

#include <algorithm>

namespace ringraft::scenario {

Words::Words(std::string_view line) {
  size_t at = 0;
  while (at < line.size()) {
    if (line[at] == ' ') {
      ++at;
      continue;
    }
    const size_t end = std::min(line.find(' ', at), line.size());
    words_.push_back(line.substr(at, end - at));
    at = end;
  }
}

bool ParseNumber(std::string_view text, uint64_t& value) {
  if (text.empty() || text.size() > 18) return false;
  value = 0;
  for (char digit : text) {
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + static_cast<uint64_t>(digit - '0');
  }
  return true;
}

void Words::Fail(std::string_view what, std::string_view word, std::string_view expected) {
  if (failed()) return;
  error_ =
      "invalid " + std::string(what) + " '" + std::string(word.substr(0, 40)) + "': expected " + std::string(expected);
}

std::string_view Words::Take(std::string_view expected) {
  if (failed()) return {};
  if (next_ == words_.size()) {
    error_ = "missing word at the end: expected " + std::string(expected);
    return {};
  }
  return words_[next_++];
}

uint64_t Words::Number(std::string_view what, uint64_t min, uint64_t max) {
  const std::string range = "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  std::string_view word = Take("a " + std::string(what) + ", " + range);
  uint64_t value = min;
  if (failed() || (ParseNumber(word, value) && value >= min && value <= max)) return value;
  Fail(what, word, range);
  return min;
}

std::vector<uint64_t> Words::Servers() {
  std::vector<uint64_t> servers;
  uint64_t ignored = 0;
  do {
    std::string_view word = Peek();
    const uint64_t server = Server();
    if (std::find(servers.begin(), servers.end(), server) != servers.end()) {
      Fail("server", word, "each server once");
    }
    if (!failed()) servers.push_back(server);
  } while (!AtEnd() && ParseNumber(Peek(), ignored));
  return servers;
}

std::vector<std::vector<uint64_t>> Words::Groups() {
  std::vector<std::vector<uint64_t>> groups;
  groups.push_back(Servers());
  do {
    std::string_view word = Take("'|' and another group of servers");
    if (word != "|") Fail("word", word, "servers from 1 to 9, and '|' between groups");
    if (!failed()) groups.push_back(Servers());
  } while (!AtEnd());
  return groups;
}

Link Words::TakeLink() {
  constexpr std::string_view kExpected = "FROM->TO, each a server from 1 to 9 or * for any";
  std::string_view word = Take(kExpected);
  Link link;
  const size_t arrow = word.find("->");
  auto end_of = [&](std::string_view text, uint64_t& server) {
    if (text == "*") return true;
    return ParseNumber(text, server) && server >= 1 && server <= kMaxServers;
  };
  const bool is_link = arrow != std::string_view::npos && end_of(word.substr(0, arrow), link.from) &&
                       end_of(word.substr(arrow + 2), link.to) && (link.from == 0 || link.from != link.to);
  if (!is_link) Fail("link", word, kExpected);
  return link;
}

Duration Words::TakeDuration() {
  constexpr std::string_view kExpected = "a duration such as 100ms or 2s, up to 10 minutes";
  std::string_view word = Take(kExpected);
  const bool in_milliseconds = word.ends_with("ms");
  uint64_t value = 0;
  const size_t unit = in_milliseconds ? 2 : 1;
  const bool is_duration =
      word.size() > unit && word.ends_with("s") && ParseNumber(word.substr(0, word.size() - unit), value);
  // In milliseconds, checked for overflow first.
  const uint64_t milliseconds = value > kMaxNumber ? UINT64_MAX : value * (in_milliseconds ? 1 : 1000);
  const auto most = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(kMaxTick).count());
  if (!is_duration || milliseconds == 0 || milliseconds > most) {
    Fail("duration", word, kExpected);
    return {};
  }
  return std::chrono::milliseconds(milliseconds);
}

size_t Words::OneOf(std::string_view what, std::span<const std::string_view> expected) {
  std::string list;
  for (std::string_view word : expected) list += (list.empty() ? "" : ", ") + std::string(word);
  std::string_view word = Take(list);
  if (failed()) return 0;
  auto found = std::find(expected.begin(), expected.end(), word);
  if (found != expected.end()) return static_cast<size_t>(found - expected.begin());
  Fail(what, word, list);
  return 0;
}

bool Words::TakeIf(std::string_view word) {
  if (AtEnd() || Peek() != word) return false;
  ++next_;
  return true;
}

void Words::NoMore() {
  if (!AtEnd()) Fail("word", Peek(), "the end of the line");
}

}  // namespace ringraft::scenario
