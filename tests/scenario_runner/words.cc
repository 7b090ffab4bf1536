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

void Words::Fail(std::string_view word, std::string_view is_no, std::string_view allowed) {
  if (failed()) return;
  error_ =
      "'" + std::string(word.substr(0, 40)) + "' is no " + std::string(is_no) + "; allowed: " + std::string(allowed);
}

std::string_view Words::Take(std::string_view what) {
  if (failed()) return {};
  if (next_ == words_.size()) {
    error_ = "a word is missing at the end; allowed: " + std::string(what);
    return {};
  }
  return words_[next_++];
}

uint64_t Words::Number(std::string_view what, uint64_t min, uint64_t max) {
  const std::string allowed =
      std::string(what) + ", a number from " + std::to_string(min) + " to " + std::to_string(max);
  std::string_view word = Take(allowed);
  uint64_t value = min;
  if (failed() || (ParseNumber(word, value) && value >= min && value <= max)) return value;
  Fail(word, what.substr(what.find(' ') + 1), allowed);
  return min;
}

std::vector<uint64_t> Words::Servers() {
  std::vector<uint64_t> servers;
  uint64_t ignored = 0;
  do {
    std::string_view word = Peek();
    const uint64_t server = Server();
    if (std::find(servers.begin(), servers.end(), server) != servers.end()) {
      Fail(word, "new server here", "each server once");
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
    if (word != "|") Fail(word, "server and no '|'", "numbers from 1 to 9, and '|' between groups");
    if (!failed()) groups.push_back(Servers());
  } while (!AtEnd());
  return groups;
}

Link Words::TakeLink() {
  constexpr std::string_view kAllowed = "FROM->TO, each a server from 1 to 9 or * for any";
  std::string_view word = Take(kAllowed);
  Link link;
  const size_t arrow = word.find("->");
  auto end_of = [&](std::string_view text, uint64_t& server) {
    if (text == "*") return true;
    return ParseNumber(text, server) && server >= 1 && server <= kMaxServers;
  };
  const bool is_link = arrow != std::string_view::npos && end_of(word.substr(0, arrow), link.from) &&
                       end_of(word.substr(arrow + 2), link.to) && (link.from == 0 || link.from != link.to);
  if (!is_link) Fail(word, "link", kAllowed);
  return link;
}

Duration Words::TakeDuration() {
  constexpr std::string_view kAllowed = "a duration such as 100ms or 2s, up to 10 minutes";
  std::string_view word = Take(kAllowed);
  const bool in_milliseconds = word.ends_with("ms");
  uint64_t value = 0;
  const size_t unit = in_milliseconds ? 2 : 1;
  const bool is_duration =
      word.size() > unit && word.ends_with("s") && ParseNumber(word.substr(0, word.size() - unit), value);
  // Compared in milliseconds, before anything could overflow.
  const uint64_t milliseconds = value > kMaxNumber ? UINT64_MAX : value * (in_milliseconds ? 1 : 1000);
  const auto most = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(kMaxTick).count());
  if (!is_duration || milliseconds == 0 || milliseconds > most) {
    Fail(word, "duration", kAllowed);
    return {};
  }
  return std::chrono::milliseconds(milliseconds);
}

size_t Words::OneOf(std::string_view what, std::span<const std::string_view> allowed) {
  std::string list;
  for (std::string_view word : allowed) list += (list.empty() ? "" : ", ") + std::string(word);
  std::string_view word = Take(list);
  if (failed()) return 0;
  auto found = std::find(allowed.begin(), allowed.end(), word);
  if (found != allowed.end()) return static_cast<size_t>(found - allowed.begin());
  Fail(word, what, list);
  return 0;
}

bool Words::TakeIf(std::string_view word) {
  if (AtEnd() || Peek() != word) return false;
  ++next_;
  return true;
}

void Words::NoMore() {
  if (!AtEnd()) Fail(Peek(), "part of this command", "the end of the line");
}

}  // namespace ringraft::scenario
