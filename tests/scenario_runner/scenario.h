// The text of a scenario: commands, one per line, and below each, indented, its expected story. This is only the
// syntax, safe for any input: all bytes give a Scenario or an error, in bounded time and memory. commands.cc runs the
// commands; tests/scenarios/README.md explains how to write a scenario.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core_driver/message_kind.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::scenario {

// Limits of a file.
constexpr size_t kMaxFileBytes = 256 << 10;
constexpr size_t kMaxLineBytes = 1024;
constexpr size_t kMaxSteps = 500;
constexpr uint64_t kMaxServers = 9;  // ids are 1 .. 9
constexpr uint64_t kMaxNumber = 1'000'000;
constexpr size_t kMaxEntries = 200;  // of a given log, and of a proposal
constexpr Duration kMaxTick = std::chrono::minutes(10);

// '+' adds a voter, '~' adds a learner, '-' removes, '^' promotes, '_' demotes.
struct ChangeStep {
  char sign;
  uint64_t server;
};

enum class Verb : uint8_t {
  // Set-up.
  kCluster,
  kEmpty,
  kLogOf,
  kSet,
  kNoConvergence,
  // Servers.
  kCampaign,
  kElect,
  kHeartbeat,
  kPropose,
  kChange,
  kAbort,
  kTransfer,
  kTick,
  kRun,
  // Network.
  kDeliver,
  kDrop,
  kDuplicate,
  kHold,
  kRelease,
  kFail,
  kCut,
  kPartition,
  kHeal,
  // Disks, state machines, power.
  kHoldDisk,
  kFlush,
  kReleaseDisk,
  kFailDisk,
  kHoldReads,
  kRead,
  kReleaseReads,
  kHoldApply,
  kApply,
  kReleaseApply,
  kCrash,
  kRestart,
  kWipe,
  // Inspection.
  kStatus,
  kLog,
  kWire,
  kStory,
  kExpect,
};

// "1->2"; 0 means any server ("*").
struct Link {
  uint64_t from = 0;
  uint64_t to = 0;
};

using core::MessageKind;
std::string_view Name(MessageKind kind);

// Selects messages in flight: all of a link, those of one kind, or the n-th of these.
struct Selection {
  Link link;
  std::optional<MessageKind> kind;
  uint64_t nth = 0;  // from 1; 0: all
};

// The operands of a verb; see the table in scenario.cc.
struct Command {
  Verb verb = Verb::kStatus;
  std::string topic;                          // of `set`, `expect` and `story`
  std::vector<uint64_t> servers;              // the acting server first
  std::vector<std::vector<uint64_t>> groups;  // of `partition` and `expect joint`
  std::vector<uint64_t> numbers;              // terms, indexes, counts
  std::vector<ChangeStep> steps;              // of `change`
  std::vector<std::string> texts;             // proposed commands
  std::optional<Selection> selection;
  Duration duration{};
};

struct Step {
  std::vector<std::string> preface;  // comments and empty lines before it
  size_t line = 0;                   // of the command
  std::string text;                  // verbatim
  Command command;
  std::vector<std::string> story;  // without indentation
};

struct Scenario {
  std::vector<Step> steps;
  std::vector<std::string> tail;     // comments and empty lines at the end
  std::vector<std::string> hazards;  // "B1" and "B2" of a line "# hazards: B1, B2"
};

// Error: kInvalidArgument, with a message that names the line, the word and what is expected.
Result<Scenario> ParseScenario(std::string_view text);

// The text with the current stories of the steps.
std::string WriteScenario(const Scenario& scenario);

// "1->2", as in a scenario.
std::string Text(const Link& link);

}  // namespace ringraft::scenario
