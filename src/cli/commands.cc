#include "cli/commands.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/follow.h"
#include "cli/report.h"

namespace ringraft::cli {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(100);
constexpr Duration kPollTimeout = std::chrono::seconds(3);  // of one question, while waiting

Outcome Failed(int exit_code, std::string_view text) { return Outcome{exit_code, {}, Printable(text)}; }

bool IsUnknown(const Error& error) { return error == Errc::kUnknown || error == Errc::kTimedOut; }

Outcome Show(const CliOptions& options, Network& network, TimePoint deadline) {
  const bool is_status = options.command == Command::kStatus;
  // Who the members are can be told without a leader, too: a third of the time is for that.
  Result<Answered> answered = is_status ? AskAny(network, options.nodes, deadline)
                                        : AskLeader(network, options.nodes, deadline - options.timeout / 3);
  if (!is_status && !answered && answered.error() == Errc::kNoLeader)
    answered = AskAny(network, options.nodes, deadline);
  if (!answered) return Failed(IsUnknown(answered.error()) ? kExitUnknown : kExitFailed, answered.error().message());
  if (options.json) return Outcome{0, is_status ? StatusJson(answered.value()) : MembersJson(answered.value()), {}};
  return Outcome{0, is_status ? StatusText(answered.value()) : MembersText(answered.value()), {}};
}

Outcome Do(const CliOptions& options, Network& network, TimePoint deadline) {
  const Result<void> done = Send(network, options.nodes, options.order, deadline);
  if (done) return Outcome{0, options.done + "\n", {}};
  const Error& error = done.error();
  if (!IsUnknown(error) && error != Errc::kProtocol) return Failed(kExitFailed, error.message());
  return Failed(kExitUnknown, fmt::format("{}; whether it has been done is not known: look at 'ringraft members' "
                                          "before you try again",
                                          error.message()));
}

// What is still missing; empty if the condition holds.
std::string Missing(const CliOptions& options, const RaftStatus& raft) {
  if (options.command == Command::kWaitLeader)
    return raft.leader ? "" : fmt::format("node {} does not know of a leader", raft.id.value());
  if (options.command == Command::kWaitHealthy) return WhyNotHealthy(raft, options.max_lag);
  if (raft.applied_index >= options.index) return {};
  return fmt::format("node {} has applied up to {} only", raft.id.value(), raft.applied_index.value());
}

std::string Met(const CliOptions& options, const RaftStatus& raft) {
  if (options.command == Command::kWaitLeader)
    return fmt::format("node {} at {} leads\n", raft.leader->id.value(), Printable(raft.leader->addr.text()));
  if (options.command == Command::kWaitHealthy) return fmt::format("all {} members are healthy\n", raft.peers.size());
  return fmt::format("node {} has applied up to {}\n", raft.id.value(), raft.applied_index.value());
}

// An error that time may cure.
bool MayPass(const Error& error) {
  return IsUnknown(error) || error == Errc::kUnreachable || error == Errc::kNoLeader || error == Errc::kStopped ||
         error == Errc::kBusy;
}

Outcome Wait(const CliOptions& options, Network& network, TimePoint deadline) {
  while (true) {
    const TimePoint until = std::min(deadline, network.Now() + kPollTimeout);
    const Result<Answered> answered = options.command == Command::kWaitHealthy
                                          ? AskLeader(network, options.nodes, until)
                                          : AskAny(network, options.nodes, until);
    if (!answered && !MayPass(answered.error())) return Failed(kExitFailed, answered.error().message());
    const std::string missing = answered ? Missing(options, answered.value().status.raft) : answered.error().message();
    if (missing.empty()) return Outcome{0, Met(options, answered.value().status.raft), {}};
    if (network.Now() + kPoll >= deadline) {  // another question would have no time
      const double seconds = std::chrono::duration<double>(options.timeout).count();
      return Failed(kExitUnknown,
                    fmt::format("condition not met after {:g} s: {}; fix that, or raise --timeout", seconds, missing));
    }
    network.Sleep(kPoll);
  }
}

}  // namespace

Outcome Run(const CliOptions& options, Network& network) {
  const TimePoint deadline = network.Now() + options.timeout;
  switch (options.command) {
    case Command::kStatus:
    case Command::kMembers:
      return Show(options, network, deadline);
    case Command::kOrder:
      return Do(options, network, deadline);
    case Command::kWaitLeader:
    case Command::kWaitIndex:
    case Command::kWaitHealthy:
      return Wait(options, network, deadline);
    case Command::kRecover:  // needs no node: see recover.h
      break;
  }
  return Outcome{kExitUsage, {}, "unknown command"};
}

}  // namespace ringraft::cli
