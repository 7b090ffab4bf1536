// A scenario file. A parsed scenario can be written and parsed again. Then it is run, skipping commands that are not
// possible: whatever happens to the servers, no rule of the protocol is broken, the messages end, and once everything
// is repaired the cluster comes to rest. Most inputs are whole scenarios: the mutator changes lines, not bytes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "commands.h"
#include "fuzz.h"
#include "scenario.h"

namespace {

using namespace ringraft;
using namespace ringraft::scenario;

// --- running ---

constexpr size_t kMostSteps = 100;
constexpr Duration kLongest = std::chrono::seconds(20);

bool IsShort(const Scenario& scenario) {
  Duration all{};
  for (const Step& step : scenario.steps) all += step.command.duration;
  return scenario.steps.size() <= kMostSteps && all <= kLongest;
}

// Excludes scenarios that may break rules: a disk that loses acknowledged entries, and logs that no cluster can reach;
// and servers without a cluster, which cannot come to rest.
bool IsFair(const Scenario& scenario) {
  bool has_cluster = false;
  for (const Step& step : scenario.steps) {
    const Verb verb = step.command.verb;
    has_cluster |= verb == Verb::kCluster;
    if (verb == Verb::kWipe || verb == Verb::kLogOf || (!has_cluster && verb != Verb::kSet)) return false;
  }
  return has_cluster;
}

void Play(Scenario scenario) {
  const Outcome outcome = RunScenario(std::move(scenario), nullptr, Strictness::kLenient);
  if (outcome.problem.empty()) return;
  std::fprintf(stderr, "%s\nline %zu: %s\n", WriteScenario(outcome.scenario).c_str(), outcome.line,
               outcome.problem.c_str());
  std::abort();
}

// --- the mutator ---

uint64_t state;
uint64_t Draw(uint64_t n) { return DrawFrom(state, n); }

// N is one of the first seven servers; frequent commands are listed several times.
constexpr std::string_view kCommands =
    "campaign N,campaign N,elect N,elect N,heartbeat N,heartbeat N,heartbeat N N,propose N x,propose N x,"
    "propose N x y z,change N +N,change N -N,change N ~N,change N ^N,change N _N,change N +N -N,change N +N +N -N,"
    "abort N,transfer N N,tick 100ms,tick 500ms,tick 1s,run 200ms,run 2s,"
    "deliver,deliver,deliver N->N,deliver N->N,deliver N->* 1,deliver *->N,deliver N->*,drop N->N,drop N->*,"
    "duplicate N->N,duplicate *->*,hold N->N,hold N->*,release *->*,fail N->N,fail *->*,cut N->N,cut N->*,cut *->N,"
    "heal,heal,hold-disk N,hold-disk N,flush N,flush N 1,release-disk N,fail-disk N,hold-reads N,read N,"
    "release-reads N,hold-apply N,apply N,release-apply N,crash N,crash N,crash N keeping 1,restart N,restart N,"
    "restart N";

std::vector<std::string> Split(std::string_view text, char end) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t size = std::min(text.find(end), text.size());
    parts.emplace_back(text.substr(0, size));
    text.remove_prefix(std::min(size + 1, text.size()));
  }
  return parts;
}

std::string DrawCommand() {
  static const std::vector<std::string> commands = Split(kCommands, ',');
  std::string text = commands[Draw(commands.size())];
  for (char& c : text) {
    if (c == 'N') c = static_cast<char>('1' + Draw(Draw(3) == 0 ? 7 : 3));
  }
  return text;
}

constexpr const char* kClaim = "# A changed scenario breaks no rule.\n";

bool IsCommand(const std::string& line) { return ParseScenario(kClaim + line + "\n").has_value(); }

// Lines of the expected story, which a changed scenario does not have.
bool IsToldOrClaimed(const std::string& line) {
  return line.empty() || line[0] == ' ' || line[0] == '#' || line.starts_with("expect");
}

// Commands that set up the initial state come first.
void PutInOrder(std::vector<std::string>& lines) {
  std::vector<std::string> ordered;
  for (const char* word : {"set ", "cluster ", "empty ", ""}) {
    for (std::string& line : lines) {
      if (!line.empty() && line.starts_with(word)) ordered.push_back(std::exchange(line, ""));
    }
  }
  lines = std::move(ordered);
}

void ChangeLines(std::vector<std::string>& lines) {
  const size_t at = lines.empty() ? 0 : Draw(lines.size());
  const uint64_t what = Draw(8);
  const auto here = lines.begin() + static_cast<std::ptrdiff_t>(at);
  if (lines.empty() || what < 4) {
    lines.insert(lines.empty() ? here : here + 1, DrawCommand());
  } else if (what == 4) {
    lines.erase(here);
  } else if (what == 5) {
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(Draw(lines.size())), std::string(lines[at]));
  } else if (what == 6) {
    std::swap(lines[at], lines[Draw(lines.size())]);
  } else {
    for (char& c : lines[at]) {
      if (c >= '1' && c <= '9' && Draw(2) == 0) c = static_cast<char>('1' + Draw(5));
    }
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  state = seed;
  if (Draw(8) == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<std::string> lines = Split(std::string_view(reinterpret_cast<const char*>(data), size), '\n');
  std::erase_if(lines, IsToldOrClaimed);
  for (uint64_t changes = 1 + Draw(8); changes > 0; --changes) ChangeLines(lines);
  std::erase_if(lines, [](const std::string& line) { return !IsCommand(line); });
  PutInOrder(lines);
  std::string text = kClaim;
  for (const std::string& line : lines) text += line + "\n";
  text.resize(std::min(text.size(), max_size));
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto scenario = ParseScenario(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!scenario) {
    RINGRAFT_ASSERT(!scenario.error().message().empty());
    return 0;
  }
  const std::string text = WriteScenario(scenario.value());
  auto again = ParseScenario(text);
  RINGRAFT_ASSERT(again.has_value());
  RINGRAFT_ASSERT(WriteScenario(again.value()) == text);
  if (IsShort(again.value()) && IsFair(again.value())) Play(std::move(again.value()));
  return 0;
}
