#include "expectations.h"

namespace ringraft::scenario {
namespace {

std::string Compare(const std::string& what, const std::string& claimed, const std::string& actual) {
  if (claimed == actual) return "";
  return "the claim does not hold: " + what + " is " + actual + ", not " + claimed;
}

std::string NumberOf(const World& world, const Command& command) {
  const uint64_t server = command.servers[0];
  if (command.topic == "vote") return Text(world.disk(server).hard_state().vote);
  if (!world.IsUp(server)) return "unknown (it is down)";
  const View view = world.Look(server);
  if (command.topic == "term") return Text(view.term);
  if (command.topic == "commit") return Text(view.commit);
  if (command.topic == "applied") return Text(view.applied);
  return Text(command.topic == "last" ? view.last : view.durable);
}

std::string CheckLeader(const World& world, uint64_t leader) {
  std::vector<uint64_t> leaders;
  Term newest;
  for (uint64_t server : world.Ids()) {
    if (!world.IsUp(server) || !world.core(server).is_leader() || world.core(server).term() < newest) continue;
    newest = world.core(server).term();
    leaders = {server};
  }
  return Compare("the leader of the newest term", std::to_string(leader), leaders.empty() ? "0" : Servers(leaders));
}

std::string TermsOf(const core::Core& core) {
  std::vector<uint64_t> terms;
  for (Index index(1); index <= core.last_index(); ++index) terms.push_back(core.TermAt(index).value());
  return Servers(terms);
}

std::string MembersClaimed(const Command& command) {
  std::string text;
  for (const auto& group : command.groups) text += (text.empty() ? "{" : "->{") + Servers(group) + "}";
  return text;
}

}  // namespace

std::string CheckExpectation(const World& world, const Command& command) {
  const std::string& topic = command.topic;
  if (topic == "no-leader") {
    for (uint64_t server : world.Ids()) {
      if (world.IsUp(server) && world.core(server).is_leader()) {
        return "the claim does not hold: server " + std::to_string(server) + " is leader";
      }
    }
    return "";
  }
  if (topic == "in-flight") {
    return Compare("the number of messages in flight", std::to_string(command.numbers[0]),
                   std::to_string(world.wire().size()));
  }
  const uint64_t server = command.servers[0];
  const std::string of_server = " of " + std::to_string(server);
  if (topic == "leader") return CheckLeader(world, server);
  if (topic == "down") return Compare("the state" + of_server, "down", world.IsUp(server) ? "up" : "down");
  if (topic == "vote")
    return Compare("the durable vote" + of_server, std::to_string(command.numbers[0]), NumberOf(world, command));
  if (!world.IsUp(server)) return "the claim does not hold: server " + std::to_string(server) + " is down";
  const core::Core& core = world.core(server);
  if (topic == "role") return Compare("the role" + of_server, command.texts[0], RoleName(core.role()));
  if (topic == "log") return Compare("the log" + of_server, Servers(command.numbers), TermsOf(core));
  if (topic == "completed" || topic == "unknown") {
    const bool is_completed = world.HasCompleted(server, command.texts[0]);
    const bool is_unknown = world.HasLost(server, command.texts[0]);
    return Compare("the outcome of " + command.texts[0], topic,
                   is_completed ? "completed"
                   : is_unknown ? "unknown"
                                : "open");
  }
  if (topic == "members" || topic == "joint") {
    return Compare("the configuration" + of_server, MembersClaimed(command), Voters(core.configuration()));
  }
  if (topic == "learners") {
    std::vector<uint64_t> learners;
    for (const Peer& learner : core.configuration().learners) learners.push_back(learner.id.value());
    return Compare("the learners" + of_server, Servers(command.groups[0]), Servers(learners));
  }
  return Compare("the " + topic + of_server, std::to_string(command.numbers[0]), NumberOf(world, command));
}

}  // namespace ringraft::scenario
