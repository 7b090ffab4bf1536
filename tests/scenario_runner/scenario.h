// A scenario as a text: commands, one a line, and below each, indented, the story that is expected of it. This is the
// syntax alone, which may be read from anywhere: any bytes give a Scenario or an error, in bounded time and memory.
// What the commands do is in commands.cc; tests/scenarios/README.md tells how to write one.
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

// Bounds of what a file may say.
constexpr size_t kMaxFileBytes = 256 << 10;
constexpr size_t kMaxLineBytes = 1024;
constexpr size_t kMaxSteps = 500;
constexpr uint64_t kMaxServers = 9;  // ids are 1 .. 9
constexpr uint64_t kMaxNumber = 1'000'000;
constexpr size_t kMaxEntries = 200;  // of a given log, and of a proposal
constexpr Duration kMaxTick = std::chrono::minutes(10);

// '+' a voter comes, '~' a learner comes, '-' one goes, '^' is promoted, '_' is demoted.
struct ChangeStep {
  char sign;
  uint64_t server;
};

enum class Verb : uint8_t {
  // What there is at the beginning.
  kCluster,
  kEmpty,
  kLogOf,
  kSet,
  kNoConvergence,
  // What servers do.
  kCampaign,
  kElect,
  kHeartbeat,
  kPropose,
  kChange,
  kAbort,
  kTransfer,
  kTick,
  kRun,
  // What the network does.
  kDeliver,
  kDrop,
  kDuplicate,
  kHold,
  kRelease,
  kFail,
  kCut,
  kPartition,
  kHeal,
  // What disks and state machines do.
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
  // What is looked at.
  kStatus,
  kLog,
  kWire,
  kStory,
  kExpect,
};

// "1->2"; 0 stands for any server ("*").
struct Link {
  uint64_t from = 0;
  uint64_t to = 0;
};

using core::MessageKind;
std::string_view Name(MessageKind kind);

// Which messages in flight: all of a link, those of one kind, or the n-th of them.
struct Selection {
  Link link;
  std::optional<MessageKind> kind;
  uint64_t nth = 0;  // from 1; 0: all
};

// What is meant depends on the verb; see the table in scenario.cc.
struct Command {
  Verb verb = Verb::kStatus;
  std::string topic;                          // of `set`, `expect` and `story`
  std::vector<uint64_t> servers;              // those that act first
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
  std::string text;                  // as it stands there
  Command command;
  std::vector<std::string> story;  // without indentation
};

struct Scenario {
  std::vector<Step> steps;
  std::vector<std::string> tail;     // comments and empty lines at the end
  std::vector<std::string> hazards;  // "B1" and "B2" of a line "# hazards: B1, B2"
};

// Errors: kInvalidArgument, with a message that names the line, the word and what is allowed.
Result<Scenario> ParseScenario(std::string_view text);

// The text again, with the stories that the steps have now.
std::string WriteScenario(const Scenario& scenario);

// "append", or "append-reply"; "1->2". As a scenario writes them.
std::string Text(const Link& link);

}  // namespace ringraft::scenario
