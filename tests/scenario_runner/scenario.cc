#include "scenario.h"

#include <array>

#include "base/try.h"
#include "words.h"

namespace ringraft::scenario {
namespace {

constexpr std::array<std::string_view, 8> kKinds = {"pre-vote",       "vote",       "append",       "heartbeat",
                                                    "pre-vote-reply", "vote-reply", "append-reply", "heartbeat-reply"};

// --- the words of each command ---

void ReadNothing(Words&, Command&) {}
void ReadServer(Words& words, Command& command) { command.servers = {words.Server()}; }
void ReadServers(Words& words, Command& command) { command.servers = words.Servers(); }
void ReadServersIfAny(Words& words, Command& command) {
  if (!words.AtEnd()) command.servers = words.Servers();
}
void ReadDuration(Words& words, Command& command) { command.duration = words.TakeDuration(); }
void ReadGroups(Words& words, Command& command) { command.groups = words.Groups(); }

void ReadLogOf(Words& words, Command& command) {
  command.servers = {words.Server()};
  constexpr std::array<std::string_view, 1> kTerms = {"terms"};
  words.OneOf("word", kTerms);
  uint64_t ignored = 0;
  do {
    command.numbers.push_back(words.Number("term", 1, kMaxNumber));
    const size_t count = command.numbers.size();
    if (count > 1 && command.numbers[count - 2] > command.numbers[count - 1]) {
      words.Fail("term", std::to_string(command.numbers.back()), "terms that do not decrease along the log");
    }
    if (count > kMaxEntries) words.Fail("entry", words.Peek(), "at most 200 entries");
  } while (!words.AtEnd() && ParseNumber(words.Peek(), ignored));
  // The hard state; by default the last entry's term and no vote.
  uint64_t term = command.numbers.back();
  uint64_t vote = 0;
  if (words.TakeIf("term")) term = words.Number("term", command.numbers.back(), kMaxNumber);
  if (words.TakeIf("vote")) vote = words.Server();
  command.numbers.push_back(term);
  command.numbers.push_back(vote);
}

void ReadSet(Words& words, Command& command) {
  constexpr std::array<std::string_view, 8> kTopics = {"window-calls",          "window-bytes",   "append-bytes",
                                                       "cached-bytes",          "apply-bytes",    "catch-up-rounds",
                                                       "tell-commit-when-idle", "durable-machine"};
  const size_t topic = words.OneOf("setting", kTopics);
  command.topic = kTopics[topic];
  if (topic < 6) command.numbers = {words.Number("limit", topic == 3 ? 0 : 1, kMaxNumber)};
}

void ReadNoConvergence(Words& words, Command&) {
  words.Take("the reason why the cluster does not come to rest");
  while (!words.AtEnd()) words.Take("");
}

void ReadHeartbeat(Words& words, Command& command) {
  command.servers = {words.Server()};
  if (!words.AtEnd()) command.servers.push_back(words.Server());
}

void ReadPropose(Words& words, Command& command) {
  command.servers = {words.Server()};
  do {
    std::string_view text = words.Take("one or more commands, which form one batch");
    command.texts.emplace_back(text);
    if (command.texts.size() > kMaxEntries) words.Fail("command", text, "at most 200 commands");
  } while (!words.AtEnd());
}

void ReadChange(Words& words, Command& command) {
  command.servers = {words.Server()};
  do {
    constexpr std::string_view kExpected =
        "+SERVER (a voter), ~SERVER (a learner), -SERVER, ^SERVER (promote) and _SERVER (demote), servers from 1 to 9";
    std::string_view word = words.Take(kExpected);
    uint64_t server = 0;
    const bool is_signed = !word.empty() && std::string_view("+~-^_").find(word[0]) != std::string_view::npos;
    if (!is_signed || !ParseNumber(word.substr(1), server) || server < 1 || server > kMaxServers) {
      words.Fail("change", word, kExpected);
      return;
    }
    command.steps.push_back(ChangeStep{word[0], server});
  } while (!words.AtEnd());
}

void ReadLink(Words& words, Command& command) { command.selection = Selection{words.TakeLink(), std::nullopt, 0}; }

void ReadSelection(Words& words, Command& command) {
  ReadLink(words, command);
  uint64_t ignored = 0;
  if (!words.AtEnd() && !ParseNumber(words.Peek(), ignored)) {
    command.selection->kind = static_cast<MessageKind>(words.OneOf("message kind", kKinds));
  }
  if (!words.AtEnd()) command.selection->nth = words.Number("position", 1, 1000);
}

void ReadTransfer(Words& words, Command& command) {
  command.servers = {words.Server()};
  command.servers.push_back(words.Server());
}

void ReadDeliver(Words& words, Command& command) {
  if (!words.AtEnd()) ReadSelection(words, command);
}

void ReadFlush(Words& words, Command& command) {
  command.servers = {words.Server()};
  command.numbers = {words.AtEnd() ? 0 : words.Number("count", 1, 1000)};
}

void ReadCrash(Words& words, Command& command) {
  command.servers = {words.Server()};
  command.numbers = {words.TakeIf("keeping") ? words.Number("count", 1, 1000) : 0};
}

void ReadStory(Words& words, Command& command) {
  constexpr std::array<std::string_view, 2> kTopics = {"on", "off"};
  command.topic = kTopics[words.OneOf("switch", kTopics)];
}

void ReadExpect(Words& words, Command& command) {
  constexpr std::array<std::string_view, 17> kTopics = {
      "leader", "no-leader", "role",     "term",  "commit",    "applied", "last",      "durable", "log",
      "vote",   "members",   "learners", "joint", "in-flight", "down",    "completed", "unknown"};
  constexpr std::array<std::string_view, 4> kRoles = {"follower", "pre-candidate", "candidate", "leader"};
  constexpr std::array<std::string_view, 1> kTerms = {"terms"};
  command.topic = kTopics[words.OneOf("claim", kTopics)];
  if (command.topic == "no-leader") return;
  if (command.topic == "in-flight") {
    command.numbers = {words.Number("count", 0, 1000)};
    return;
  }
  command.servers = {words.Server()};
  if (command.topic == "leader" || command.topic == "down") return;
  if (command.topic == "completed" || command.topic == "unknown") {
    command.texts.emplace_back(words.Take("a proposed command"));
  } else if (command.topic == "role") {
    command.texts.emplace_back(kRoles[words.OneOf("role", kRoles)]);
  } else if (command.topic == "log") {
    words.OneOf("word", kTerms);
    while (!words.AtEnd() && command.numbers.size() < kMaxEntries) {
      command.numbers.push_back(words.Number("term", 1, kMaxNumber));
    }
  } else if (command.topic == "members" || command.topic == "learners") {
    command.groups = {words.Servers()};
  } else if (command.topic == "joint") {
    command.groups = words.Groups();
  } else {
    command.numbers = {words.Number("number", 0, kMaxNumber)};
  }
}

struct Grammar {
  std::string_view name;
  Verb verb;
  std::string_view usage;
  void (*read)(Words& words, Command& command);
};

constexpr std::array kGrammars = {
    Grammar{"cluster", Verb::kCluster, "SERVER...", ReadServers},
    Grammar{"empty", Verb::kEmpty, "SERVER...", ReadServers},
    Grammar{"log-of", Verb::kLogOf, "SERVER terms TERM... [term TERM] [vote SERVER]", ReadLogOf},
    Grammar{"set", Verb::kSet, "SETTING [LIMIT]", ReadSet},
    Grammar{"no-convergence", Verb::kNoConvergence, "REASON...", ReadNoConvergence},
    Grammar{"campaign", Verb::kCampaign, "SERVER", ReadServer},
    Grammar{"elect", Verb::kElect, "SERVER", ReadServer},
    Grammar{"heartbeat", Verb::kHeartbeat, "SERVER [TO]", ReadHeartbeat},
    Grammar{"propose", Verb::kPropose, "SERVER COMMAND...", ReadPropose},
    Grammar{"change", Verb::kChange, "SERVER +SERVER|~SERVER|-SERVER|^SERVER|_SERVER...", ReadChange},
    Grammar{"abort", Verb::kAbort, "SERVER", ReadServer},
    Grammar{"transfer", Verb::kTransfer, "SERVER TO", ReadTransfer},
    Grammar{"tick", Verb::kTick, "DURATION", ReadDuration},
    Grammar{"run", Verb::kRun, "DURATION", ReadDuration},
    Grammar{"deliver", Verb::kDeliver, "[LINK [KIND] [POSITION]]", ReadDeliver},
    Grammar{"drop", Verb::kDrop, "LINK [KIND] [POSITION]", ReadSelection},
    Grammar{"duplicate", Verb::kDuplicate, "LINK [KIND] [POSITION]", ReadSelection},
    Grammar{"hold", Verb::kHold, "LINK", ReadLink},
    Grammar{"release", Verb::kRelease, "LINK", ReadLink},
    Grammar{"fail", Verb::kFail, "LINK", ReadLink},
    Grammar{"cut", Verb::kCut, "LINK", ReadLink},
    Grammar{"partition", Verb::kPartition, "SERVER... | SERVER...", ReadGroups},
    Grammar{"heal", Verb::kHeal, "", ReadNothing},
    Grammar{"hold-disk", Verb::kHoldDisk, "SERVER", ReadServer},
    Grammar{"flush", Verb::kFlush, "SERVER [COUNT]", ReadFlush},
    Grammar{"release-disk", Verb::kReleaseDisk, "SERVER", ReadServer},
    Grammar{"fail-disk", Verb::kFailDisk, "SERVER", ReadServer},
    Grammar{"hold-reads", Verb::kHoldReads, "SERVER", ReadServer},
    Grammar{"read", Verb::kRead, "SERVER", ReadServer},
    Grammar{"release-reads", Verb::kReleaseReads, "SERVER", ReadServer},
    Grammar{"hold-apply", Verb::kHoldApply, "SERVER", ReadServer},
    Grammar{"apply", Verb::kApply, "SERVER", ReadServer},
    Grammar{"release-apply", Verb::kReleaseApply, "SERVER", ReadServer},
    Grammar{"crash", Verb::kCrash, "SERVER [keeping COUNT]", ReadCrash},
    Grammar{"restart", Verb::kRestart, "SERVER", ReadServer},
    Grammar{"wipe", Verb::kWipe, "SERVER", ReadServer},
    Grammar{"status", Verb::kStatus, "[SERVER...]", ReadServersIfAny},
    Grammar{"log", Verb::kLog, "SERVER...", ReadServers},
    Grammar{"wire", Verb::kWire, "", ReadNothing},
    Grammar{"story", Verb::kStory, "on|off", ReadStory},
    Grammar{"expect", Verb::kExpect, "CLAIM", ReadExpect},
};

// --- the lines of a file ---

Error Wrong(size_t line, const std::string& what) {
  return Error(Errc::kInvalidArgument, "line " + std::to_string(line) + ": " + what);
}

Result<Command> ParseCommand(std::string_view text, size_t line) {
  Words words(text);
  std::string_view name = words.Take("a command");
  Command command;
  for (const Grammar& grammar : kGrammars) {
    if (grammar.name != name) continue;
    command.verb = grammar.verb;
    grammar.read(words, command);
    words.NoMore();
    if (!words.failed()) return command;
    return Wrong(line, std::string(name) + ": " + words.error() + " (" + std::string(grammar.name) +
                           (grammar.usage.empty() ? "" : " ") + std::string(grammar.usage) + ")");
  }
  std::string names;
  for (const Grammar& grammar : kGrammars) names += (names.empty() ? "" : ", ") + std::string(grammar.name);
  words.Fail("command", name, names);
  return Wrong(line, words.error());
}

// "# hazards: B1, B2"
void ReadHazards(std::string_view line, std::vector<std::string>& rows) {
  constexpr std::string_view kMark = "# hazards: ";
  if (!line.starts_with(kMark)) return;
  line.remove_prefix(kMark.size());
  while (!line.empty()) {
    const size_t end = std::min(line.find_first_of(", "), line.size());
    if (end > 0) rows.emplace_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
}

std::string_view WithoutIndentation(std::string_view line) { return line.substr(line.find_first_not_of(' ')); }

Result<void> CheckLine(std::string_view line, size_t number) {
  if (line.size() > kMaxLineBytes) {
    return Wrong(number, std::to_string(line.size()) + " bytes; a line has at most " + std::to_string(kMaxLineBytes));
  }
  for (char c : line) {
    if (c >= ' ' && c <= '~') continue;
    return Wrong(number,
                 "invalid byte " + std::to_string(static_cast<unsigned char>(c)) + ": expected printable ASCII");
  }
  return Success();
}

// Reads a file line by line.
class Reader {
 public:
  Result<void> Read(std::string_view line) {
    ++number_;
    RINGRAFT_TRYV(CheckLine(line, number_));
    const bool is_blank = line.find_first_not_of(' ') == std::string_view::npos;
    if (is_blank || line[0] == '#') {
      may_have_story_ = false;
      if (!is_blank) ReadHazards(line, scenario_.hazards);
      preface_.emplace_back(is_blank ? "" : line);
      return Success();
    }
    if (line[0] == ' ') {
      if (!may_have_story_) return Wrong(number_, "invalid story line: expected a command directly above it");
      scenario_.steps.back().story.emplace_back(WithoutIndentation(line));
      return Success();
    }
    return ReadStep(line);
  }

  Result<Scenario> Finish() {
    if (number_ == 0 || scenario_.steps.empty()) return Wrong(number_, "missing command: expected at least one");
    if (scenario_.steps.front().preface.empty() || !scenario_.steps.front().preface.front().starts_with("# ")) {
      return Wrong(1, "missing comment: expected a first line '# ...' that states the claim");
    }
    scenario_.tail = std::move(preface_);
    return std::move(scenario_);
  }

 private:
  Result<void> ReadStep(std::string_view line) {
    if (scenario_.steps.size() == kMaxSteps) {
      return Wrong(number_, "more commands than the limit of " + std::to_string(kMaxSteps) + "; split the file");
    }
    RINGRAFT_TRY(command, ParseCommand(line, number_));
    Step step;
    step.preface = std::move(preface_);
    preface_.clear();
    step.line = number_;
    step.text = std::string(line);
    step.command = std::move(command);
    scenario_.steps.push_back(std::move(step));
    may_have_story_ = true;
    return Success();
  }

  Scenario scenario_;
  std::vector<std::string> preface_;
  size_t number_ = 0;
  bool may_have_story_ = false;
};

}  // namespace

std::string_view Name(MessageKind kind) { return kKinds[static_cast<size_t>(kind)]; }

std::string Text(const Link& link) {
  auto end = [](uint64_t server) { return server == 0 ? std::string("*") : std::to_string(server); };
  return end(link.from) + "->" + end(link.to);
}

Result<Scenario> ParseScenario(std::string_view text) {
  if (text.size() > kMaxFileBytes) {
    return Error(Errc::kInvalidArgument,
                 std::to_string(text.size()) + " bytes; a scenario has at most " + std::to_string(kMaxFileBytes));
  }
  Reader reader;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    RINGRAFT_TRYV(reader.Read(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return reader.Finish();
}

std::string WriteScenario(const Scenario& scenario) {
  std::string text;
  for (const Step& step : scenario.steps) {
    for (const std::string& line : step.preface) text += line + "\n";
    text += step.text + "\n";
    for (const std::string& line : step.story) text += "  " + line + "\n";
  }
  for (const std::string& line : scenario.tail) text += line + "\n";
  return text;
}

}  // namespace ringraft::scenario
