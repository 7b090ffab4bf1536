// Virtual time: events in order, one random generator, and the trace. One run of the simulator is one World, which
// knows neither nodes nor networks.
//
// Deterministic: events of the same time run in the order in which they were scheduled. The trace must not depend on
// pointers, on the system clock or on the texts of exceptions.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/sim.h"

namespace ringraft::sim {

// Virtual nanoseconds since the start of the run.
using Nanos = int64_t;
constexpr Nanos kMicro = 1'000;
constexpr Nanos kMilli = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;

// A hash of everything that has happened, and the story: the last events as lines of text.
class Trace {
 public:
  explicit Trace(size_t story_lines) : story_lines_(story_lines) {}

  // Adds to the hash only; for frequent events.
  void Mix(uint64_t a, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0);
  // Adds to the hash and to the story. The wording enters the hash, and through it the seeds of nodes that start later.
  void Log(Nanos when, std::string_view line);
  uint64_t hash() const { return hash_; }
  const std::deque<std::string>& story() const { return story_; }
  // Called with each line of the story, if set.
  std::function<void(const std::string&)> on_line;

 private:
  void MixWord(uint64_t word);

  const size_t story_lines_;
  uint64_t hash_ = 0x243f6a8885a308d3u;
  std::deque<std::string> story_;
};

// Which rule was broken, and how.
struct Violation {
  std::string rule;
  std::string what;
  explicit operator bool() const { return !rule.empty(); }
};

class World {
 public:
  explicit World(uint64_t seed, size_t story_lines = 60) : random_(seed), trace_(story_lines) {}
  World(const World&) = delete;

  Nanos now() const { return now_; }
  // Schedules an action, not before now. The action must own what it uses, or check that it still exists.
  void At(Nanos when, std::function<void()> action);
  void After(Nanos delay, std::function<void()> action) { At(now_ + delay, std::move(action)); }
  // Runs the next event. False if there is none up to `limit`; virtual time is then `limit`.
  bool Step(Nanos limit);
  uint64_t events() const { return next_sequence_; }

  Random& random() { return random_; }
  Trace& trace() { return trace_; }
  void Log(std::string_view line) { trace_.Log(now_, line); }

  // Reports a broken rule. Only the first one counts; the run ends after the current event.
  void Fail(std::string rule, std::string what);
  const Violation& violation() const { return violation_; }

 private:
  struct Event {
    Nanos when;
    uint64_t sequence;
    std::function<void()> action;
  };
  static bool Later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }

  Nanos now_ = 0;
  uint64_t next_sequence_ = 0;
  std::vector<Event> events_;  // a heap
  Random random_;
  Trace trace_;
  Violation violation_;
};

}  // namespace ringraft::sim
