#include "commands.h"

#include <algorithm>

#include "expectations.h"
#include "world.h"

namespace ringraft::scenario {
namespace {

constexpr Duration kLongestConvergence = std::chrono::seconds(30);
constexpr const char* kEndless = "there is no end of messages";

// Runs commands. Each returns why it is impossible here, or "".
class Player {
 public:
  std::string Run(const Command& command);
  std::string Converge();
  World& world() { return world_; }

 private:
  std::string CheckServers(const Command& command) const;
  std::string SetUp(const Command& command);
  std::string Set(const Command& command);
  std::string Act(const Command& command);
  std::string Network(const Command& command);
  std::string Partition(const Command& command);
  std::string Machine(const Command& command);
  std::string Look(const Command& command);
  std::string Elect(uint64_t server);
  void TellStatus(uint64_t server) { world_.Tell(server, world_.IsUp(server) ? Status(server) : "down"); }
  std::string Status(uint64_t server) const;
  std::string Log(uint64_t server) const;
  bool NeedsUp(Verb verb) const;

  World world_;
  bool converges_ = true;
};

std::string Player::Run(const Command& command) {
  std::string problem = CheckServers(command);
  if (!problem.empty()) return problem;
  if (command.verb <= Verb::kNoConvergence) return SetUp(command);
  if (world_.Ids().empty()) return "there are no servers yet: begin with 'cluster SERVER...'";
  if (command.verb <= Verb::kRun) return Act(command);
  if (command.verb <= Verb::kHeal) return Network(command);
  if (command.verb <= Verb::kWipe) return Machine(command);
  return Look(command);
}

bool Player::NeedsUp(Verb verb) const {
  return (verb >= Verb::kCampaign && verb <= Verb::kTransfer) || (verb >= Verb::kHoldDisk && verb <= Verb::kCrash);
}

std::string Player::CheckServers(const Command& command) const {
  if (command.verb == Verb::kCluster || command.verb == Verb::kEmpty) return "";
  auto check = [&](uint64_t server) -> std::string {
    if (world_.Exists(server)) return "";
    return "server " + std::to_string(server) + " does not exist; existing servers: " + Servers(world_.Ids());
  };
  std::vector<uint64_t> named = command.servers;
  for (const ChangeStep& step : command.steps) {
    if (step.sign == '+' || step.sign == '~') named.push_back(step.server);
  }
  for (const auto& group : command.groups) named.insert(named.end(), group.begin(), group.end());
  if (command.selection) {
    for (uint64_t server : {command.selection->link.from, command.selection->link.to}) {
      if (server != 0) named.push_back(server);
    }
  }
  for (uint64_t server : named) {
    std::string problem = check(server);
    if (!problem.empty()) return problem;
  }
  // Only `log` needs more than the first server to be up.
  const size_t needed = command.verb == Verb::kLog ? command.servers.size() : NeedsUp(command.verb) ? 1 : 0;
  for (size_t i = 0; i < needed; ++i) {
    if (!world_.IsUp(command.servers[i]))
      return "server " + std::to_string(command.servers[i]) + " is down; restart it first";
  }
  return "";
}

// --- set-up ---

std::string Player::SetUp(const Command& command) {
  if (command.verb == Verb::kNoConvergence) {
    converges_ = false;
    return "";
  }
  if (world_.has_begun()) return "set-up must precede all events: move it up";
  switch (command.verb) {
    case Verb::kCluster:
    case Verb::kEmpty:
      for (uint64_t server : command.servers) {
        if (world_.Exists(server)) return "server " + std::to_string(server) + " already exists: name it once";
      }
      if (command.verb == Verb::kCluster && !world_.Ids().empty()) return "the cluster already exists: name it once";
      world_.Bootstrap(command.servers, command.verb == Verb::kCluster ? command.servers : std::vector<uint64_t>());
      return "";
    case Verb::kLogOf: {
      std::vector<uint64_t> terms(command.numbers.begin(), command.numbers.end() - 2);
      world_.GiveLog(command.servers[0], terms, command.numbers[command.numbers.size() - 2], command.numbers.back());
      return "";
    }
    default:
      return Set(command);
  }
}

std::string Player::Set(const Command& command) {
  if (!world_.Ids().empty()) return "settings must precede the servers: move it above 'cluster'";
  core::CoreOptions& options = world_.options;
  if (command.topic == "window-calls") options.peer_window_calls = command.numbers[0];
  if (command.topic == "window-bytes") options.peer_window_bytes = command.numbers[0];
  if (command.topic == "append-bytes") options.max_append_bytes = command.numbers[0];
  if (command.topic == "cached-bytes") options.cached_tail_bytes = command.numbers[0];
  if (command.topic == "apply-bytes") world_.SetApplyBytes(command.numbers[0]);
  if (command.topic == "catch-up-rounds") options.catch_up_rounds = static_cast<int>(command.numbers[0]);
  if (command.topic == "tell-commit-when-idle") options.tell_commit_when_idle = true;
  if (command.topic == "durable-machine") world_.MakeMachinesDurable();
  return "";
}

// --- servers ---

std::string Player::Act(const Command& command) {
  const uint64_t server = command.servers.empty() ? 0 : command.servers[0];
  switch (command.verb) {
    case Verb::kCampaign:
    case Verb::kElect:
      if (world_.core(server).is_leader()) return "server " + std::to_string(server) + " is already leader";
      if (command.verb == Verb::kElect) return Elect(server);
      world_.Campaign(server);
      return "";
    case Verb::kHeartbeat:
      world_.Heartbeat(server, command.servers.size() > 1 ? command.servers[1] : 0);
      return "";
    case Verb::kPropose:
      world_.Propose(server, command.texts);
      return "";
    case Verb::kChange:
      world_.Change(server, command.steps);
      return "";
    case Verb::kAbort:
      world_.Abort(server);
      return "";
    case Verb::kTransfer:
      world_.Transfer(server, command.servers[1]);
      return "";
    case Verb::kTick:
      world_.Tick(command.duration);
      return "";
    default:
      world_.Run(command.duration);
      return "";
  }
}

// A whole election, reported in one line; all servers learn the commit index.
std::string Player::Elect(uint64_t server) {
  const bool was_muted = world_.is_muted();
  world_.SetMuted(true);
  world_.Campaign(server);
  bool is_quiet = world_.DeliverAll();
  if (world_.IsUp(server) && world_.core(server).is_leader()) {
    world_.Heartbeat(server, 0);
    is_quiet = is_quiet && world_.DeliverAll();
  }
  world_.SetMuted(was_muted);
  if (!is_quiet) return kEndless;
  TellStatus(server);
  return "";
}

// --- network ---

std::string Player::Network(const Command& command) {
  const Link link = command.selection ? command.selection->link : Link{};
  size_t count = 1;
  switch (command.verb) {
    case Verb::kDeliver:
      if (!command.selection) return world_.DeliverAll() ? "" : kEndless;
      count = world_.Deliver(*command.selection);
      break;
    case Verb::kDrop:
      count = world_.Drop(*command.selection);
      break;
    case Verb::kDuplicate:
      count = world_.Duplicate(*command.selection);
      break;
    case Verb::kHold:
      world_.Hold(link);
      break;
    case Verb::kRelease:
      world_.Release(link);
      break;
    case Verb::kFail:
      count = world_.FailCalls(link);
      if (count == 0) return "no call of " + Text(link) + " waits for a reply";
      break;
    case Verb::kCut:
      world_.Cut(link);
      break;
    case Verb::kPartition:
      return Partition(command);
    default:
      world_.Heal();
  }
  if (count == 0) return "no such message is in flight on " + Text(link) + "; the command 'wire' lists all messages";
  return "";
}

std::string Player::Partition(const Command& command) {
  std::vector<uint64_t> named;
  for (const auto& group : command.groups) named.insert(named.end(), group.begin(), group.end());
  std::sort(named.begin(), named.end());
  if (named != world_.Ids()) return "each server must be in one group; existing servers: " + Servers(world_.Ids());
  for (const auto& group : command.groups) {
    for (uint64_t server : group) {
      for (uint64_t other : world_.Ids()) {
        const bool is_near = std::find(group.begin(), group.end(), other) != group.end();
        if (!is_near) world_.Cut(Link{server, other});
      }
    }
  }
  return "";
}

// --- disks, machines, power ---

std::string Player::Machine(const Command& command) {
  const uint64_t server = command.servers[0];
  size_t count = 1;
  switch (command.verb) {
    case Verb::kHoldDisk:
      world_.HoldDisk(server);
      break;
    case Verb::kFlush:
      count = world_.Flush(server, command.numbers[0]);
      break;
    case Verb::kReleaseDisk:
      world_.ReleaseDisk(server);
      break;
    case Verb::kFailDisk:
      world_.FailDisk(server);
      break;
    case Verb::kHoldReads:
      world_.HoldReads(server);
      break;
    case Verb::kRead:
      count = world_.Read(server);
      break;
    case Verb::kReleaseReads:
      world_.ReleaseReads(server);
      break;
    case Verb::kHoldApply:
      world_.HoldApply(server);
      break;
    case Verb::kApply:
      world_.Apply(server);
      break;
    case Verb::kReleaseApply:
      world_.ReleaseApply(server);
      break;
    case Verb::kCrash:
      world_.Crash(server, command.numbers[0]);
      break;
    case Verb::kRestart:
      if (world_.IsUp(server)) return "server " + std::to_string(server) + " is up; crash it first";
      world_.Restart(server);
      break;
    default:
      world_.Wipe(server);
  }
  return count > 0 ? "" : "server " + std::to_string(server) + " has nothing pending for this command";
}

// --- inspection ---

std::string Player::Look(const Command& command) {
  switch (command.verb) {
    case Verb::kStatus:
      for (uint64_t server : command.servers.empty() ? world_.Ids() : command.servers) {
        TellStatus(server);
      }
      return "";
    case Verb::kLog:
      for (uint64_t server : command.servers) world_.Tell(server, Log(server));
      return "";
    case Verb::kWire:
      for (const Message& message : world_.wire()) world_.Tell(message.from, world_.Describe(message));
      return "";
    case Verb::kStory:
      world_.SetMuted(command.topic == "off");
      return "";
    default:
      return CheckExpectation(world_, command);
  }
}

std::string Player::Status(uint64_t server) const {
  const View view = world_.Look(server);
  const core::Core& core = world_.core(server);
  return RoleName(view.role) + (view.role == Role::kLeader ? " of term " : " in term ") + Text(view.term) +
         (view.vote ? ", vote " + Text(view.vote) : "") + ", last " + Position(view.last, core.TermAt(view.last)) +
         (view.durable != view.last ? ", durable " + Text(view.durable) : "") + ", commit " + Text(view.commit) +
         (view.applied != view.commit ? ", applied " + Text(view.applied) : "") + ", members " +
         Members(core.configuration());
}

std::string Player::Log(uint64_t server) const {
  const core::Core& core = world_.core(server);
  std::vector<std::string> runs;
  Index first(1);
  for (Index index(1); index <= core.last_index(); ++index) {
    if (index < core.last_index() && core.TermAt(index + 1) == core.TermAt(index)) continue;
    runs.push_back(Range(first, index) + " of term " + Text(core.TermAt(index)));
    first = index + 1;
  }
  return "log " + (runs.empty() ? "empty" : Join(runs));
}

// --- the end ---

std::string Player::Converge() {
  world_.SetMuted(true);
  if (!converges_ || world_.Ids().empty()) return "";
  world_.Repair();
  world_.Run(kLongestConvergence, [this] { return world_.Unrest().empty(); });
  world_.CheckAll();
  if (!world_.oracle().violation().empty()) return "while the cluster comes to rest: " + world_.oracle().violation();
  const std::string unrest = world_.Unrest();
  if (unrest.empty()) return "";
  return "the repaired cluster does not come to rest within 30s: " + unrest;
}

}  // namespace

Outcome RunScenario(Scenario scenario, const std::function<void(size_t line)>& at_line, Strictness strictness) {
  Player player;
  Outcome outcome;
  for (Step& step : scenario.steps) {
    outcome.line = step.line;
    if (at_line) at_line(step.line);
    outcome.problem = player.Run(step.command);
    if (strictness == Strictness::kLenient && outcome.problem != kEndless) outcome.problem.clear();
    player.world().CheckAll();
    step.story = player.world().TakeStory();
    const std::string& violation = player.world().oracle().violation();
    if (!violation.empty()) outcome.problem = "broken invariant: " + violation;
    if (!outcome.problem.empty()) break;
  }
  if (outcome.problem.empty()) outcome.problem = player.Converge();
  outcome.scenario = std::move(scenario);
  return outcome;
}

}  // namespace ringraft::scenario
