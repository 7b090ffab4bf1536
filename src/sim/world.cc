#include "sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace ringraft::sim {

uint64_t Random::Next() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

uint64_t Random::Below(uint64_t n) {
  RINGRAFT_ASSERT(n > 0);
  return Next() % n;
}

uint64_t Random::Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }

bool Random::Chance(double probability) {
  // 53 bits: exact in a double.
  return static_cast<double>(Next() >> 11) * (1.0 / 9007199254740992.0) < probability;
}

void Trace::MixWord(uint64_t word) {
  hash_ ^= word * 0x9e3779b97f4a7c15u;
  hash_ = (hash_ << 27 | hash_ >> 37) * 0x3c79ac492ba7b653u + 0x1c69b3f74ac4ae35u;
}

void Trace::Mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  MixWord(a);
  MixWord(b);
  MixWord(c);
  MixWord(d);
}

void Trace::Log(Nanos when, std::string_view line) {
  MixWord(static_cast<uint64_t>(when));
  for (size_t i = 0; i < line.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, line.data() + i, std::min<size_t>(8, line.size() - i));
    MixWord(word);
  }
  MixWord(line.size());
  if (story_lines_ == 0 && !on_line) return;
  std::string text = fmt::format("{:>12.6f}  {}", static_cast<double>(when) / 1e9, line);
  if (on_line) on_line(text);
  story_.push_back(std::move(text));
  if (story_.size() > story_lines_) story_.pop_front();
}

void World::At(Nanos when, std::function<void()> action) {
  events_.push_back(Event{std::max(when, now_), next_sequence_++, std::move(action)});
  std::push_heap(events_.begin(), events_.end(), Later);
}

bool World::Step(Nanos limit) {
  if (events_.empty() || events_.front().when > limit) {
    now_ = std::max(now_, limit);
    return false;
  }
  std::pop_heap(events_.begin(), events_.end(), Later);
  Event event = std::move(events_.back());
  events_.pop_back();
  now_ = event.when;
  event.action();
  return true;
}

void World::Fail(std::string rule, std::string what) {
  if (violation_) return;
  Log(fmt::format("VIOLATION of {}: {}", rule, what));
  violation_ = Violation{std::move(rule), std::move(what)};
}

}  // namespace ringraft::sim
