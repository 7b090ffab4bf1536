#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "base/try.h"
#include "ringraft/options.h"
#include "rpc/admin_codec.h"

namespace ringraft::cli {
namespace {

constexpr const char* kNodesVariable = "RINGRAFT_NODES";
constexpr double kMaxTimeout = 86'400;
constexpr double kAskTimeout = 5, kOrderTimeout = 60, kWaitTimeout = 30;

// The arguments as they stand on the command line. What may be left out and is given empty, as by a script whose
// variable is not set, is refused like every other wrong value: to drop a condition in silence would be to act without
// it.
struct Arguments {
  std::vector<std::string> nodes;
  std::optional<std::string> group;
  std::optional<std::string> timeout;
  bool json = false;
  std::string id;
  std::optional<std::string> successor;  // `transfer`
  std::vector<std::string> ids;          // `remove`
  std::string addr;
  bool learner = false;
  bool witness = false;
  std::string data;
  std::optional<std::string> based_on;
  std::string index;
  std::string max_lag = "1000";
  std::string directory;
  std::optional<uint64_t> max_bytes;
  bool yes = false;
};

Error Wrong(std::string text) { return Error(Errc::kInvalidArgument, text); }

// CLI11 takes "-1" for a large number.
Result<uint64_t> ReadNumber(const char* what, std::string_view text, uint64_t least) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= least) return number;
  return Wrong(fmt::format("invalid {} '{}': expected an integer of at least {}", what, text, least));
}

std::vector<std::string> NodesOfEnvironment() {
  std::vector<std::string> nodes;
  const char* const value = std::getenv(kNodesVariable);
  std::string_view rest = value == nullptr ? "" : value;
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    nodes.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return nodes;
}

Result<void> ReadNodes(const Arguments& arguments, CliOptions& options) {
  const std::vector<std::string> texts = arguments.nodes.empty() ? NodesOfEnvironment() : arguments.nodes;
  for (const std::string& text : texts) {
    auto addr = ParseAddr(text);
    if (!addr)
      return Wrong(fmt::format("{}: {}", arguments.nodes.empty() ? kNodesVariable : "--node", addr.error().message()));
    options.nodes.push_back(std::move(addr).value());
  }
  if (!options.nodes.empty()) return Success();
  return Wrong("no node is named: give --node HOST:PORT, where its peers reach it, or set RINGRAFT_NODES");
}

Result<void> ReadTimeout(const Arguments& arguments, double or_else, CliOptions& options) {
  double seconds = or_else;
  if (arguments.timeout) {
    const std::string& text = *arguments.timeout;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || !(seconds > 0 && seconds <= kMaxTimeout))
      return Wrong(fmt::format("invalid --timeout '{}': expected seconds, above 0 and at most {}", text, kMaxTimeout));
  }
  options.timeout = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  return Success();
}

// --- what is to be done ---

// A subcommand: how it is described to CLI11, and what becomes of its arguments.
struct Form {
  const char* name;
  const char* help;
  void (*describe)(CLI::App& app, Arguments& arguments);
  Result<void> (*read)(const Arguments& arguments, CliOptions& options);
  double timeout;
  bool asks_nodes = true;
};

void AskForId(CLI::App& app, Arguments& arguments) {
  app.add_option("ID", arguments.id, "The member's number")->required();
}
void AskForAddr(CLI::App& app, Arguments& arguments) {
  app.add_option("HOST:PORT", arguments.addr, "Where its peers reach it")->required();
}
void AskForCondition(CLI::App& app, Arguments& arguments) {
  app.add_option("--if", arguments.based_on,
                 "Only if the members are still those of this log index: 'configuration' in status");
}
void AskForJson(CLI::App& app, Arguments& arguments) { app.add_flag("--json", arguments.json, "One line of JSON"); }

void DescribeAdd(CLI::App& app, Arguments& arguments) {
  AskForId(app, arguments);
  AskForAddr(app, arguments);
  app.add_flag("--learner", arguments.learner, "It gets the log, but does not vote");
  app.add_flag("--witness", arguments.witness, "It votes, but keeps no commands; it has been started as a witness");
  app.add_option("--data", arguments.data, "A text to keep beside it: a zone, or where its clients go");
  AskForCondition(app, arguments);
}
void DescribeRemove(CLI::App& app, Arguments& arguments) {
  app.add_option("ID", arguments.ids, "The members' numbers")->required();
  AskForCondition(app, arguments);
}
void DescribeId(CLI::App& app, Arguments& arguments) {
  AskForId(app, arguments);
  AskForCondition(app, arguments);
}
void DescribeMove(CLI::App& app, Arguments& arguments) {
  AskForId(app, arguments);
  AskForAddr(app, arguments);
  AskForCondition(app, arguments);
}
void DescribeTransfer(CLI::App& app, Arguments& arguments) {
  app.add_option("ID", arguments.successor, "The voter that is to lead; the one with most of the log if left out");
}
void DescribeRecover(CLI::App& app, Arguments& arguments) {
  app.add_option("DIR", arguments.directory, "The data directory of a stopped node")->required();
  app.add_flag("--yes", arguments.yes, "Do it; without this flag the command only shows what it would mean");
  app.add_option("--max-bytes", arguments.max_bytes, "The node's own upper bound of its database file (64GB)")
      ->transform(CLI::AsSizeValue(false));
  app.footer(
      "Looking opens the database as the node would: this upgrades a directory of format 1 to format 2, which older\n"
      "builds refuse.");
}
void DescribeNothing(CLI::App&, Arguments&) {}

Result<uint64_t> ReadId(std::string_view text) { return ReadNumber("ID", text, 1); }

Result<void> Finish(const Arguments& arguments, ConfigChange change, std::string done, CliOptions& options) {
  if (change.steps().size() > rpc::kMaxAdminSteps)
    return Wrong(
        fmt::format("{} steps exceed the limit of {}; split them", change.steps().size(), rpc::kMaxAdminSteps));
  if (arguments.based_on) {
    RINGRAFT_TRY(index, ReadNumber("--if", *arguments.based_on, 1));
    change.BasedOn(Index(index));
  }
  options.command = Command::kOrder;
  options.order = std::move(change);
  options.done = std::move(done);
  return Success();
}

Result<void> ReadAdd(const Arguments& arguments, CliOptions& options) {
  RINGRAFT_TRY(addr, ParseAddr(arguments.addr));
  RINGRAFT_TRY(id, ReadId(arguments.id));
  const Peer peer(NodeId(id), addr);
  if (arguments.learner && arguments.witness)
    return Wrong("--learner and --witness cannot be combined: a witness votes; drop one");
  MemberKind kind = MemberKind::kVoter;
  ConfigChange change;
  if (arguments.learner) {
    kind = MemberKind::kLearner;
    change.AddLearner(peer);
  } else if (arguments.witness) {
    kind = MemberKind::kWitness;
    change.AddWitness(peer);
  } else {
    change.AddVoter(peer);
  }
  if (!arguments.data.empty()) change.SetData(peer.id, arguments.data);
  return Finish(arguments, std::move(change),
                fmt::format("node {} at {} is a {} now", peer.id.value(), addr.text(), ToString(kind)), options);
}
Result<void> ReadRemove(const Arguments& arguments, CliOptions& options) {
  ConfigChange change;
  for (const std::string& text : arguments.ids) {
    RINGRAFT_TRY(id, ReadId(text));
    change.Remove(NodeId(id));
  }
  return Finish(arguments, std::move(change),
                arguments.ids.size() == 1
                    ? fmt::format("node {} is no longer a member", arguments.ids.front())
                    : fmt::format("nodes {} are no longer members", fmt::join(arguments.ids, ", ")),
                options);
}
Result<void> ReadPromote(const Arguments& arguments, CliOptions& options) {
  RINGRAFT_TRY(id, ReadId(arguments.id));
  return Finish(arguments, ConfigChange().Promote(NodeId(id)), fmt::format("node {} is a voter now", id), options);
}
Result<void> ReadDemote(const Arguments& arguments, CliOptions& options) {
  RINGRAFT_TRY(id, ReadId(arguments.id));
  return Finish(arguments, ConfigChange().Demote(NodeId(id)), fmt::format("node {} is a learner now", id), options);
}
Result<void> ReadReadmit(const Arguments& arguments, CliOptions& options) {
  RINGRAFT_TRY(id, ReadId(arguments.id));
  return Finish(arguments, ConfigChange().Readmit(NodeId(id)),
                fmt::format("node {} is a member again, with its new data directory", id), options);
}
Result<void> ReadMove(const Arguments& arguments, CliOptions& options) {
  RINGRAFT_TRY(id, ReadId(arguments.id));
  RINGRAFT_TRY(addr, ParseAddr(arguments.addr));
  return Finish(arguments, ConfigChange().SetAddr(NodeId(id), addr),
                fmt::format("node {} is at {} for its peers now", id, addr.text()), options);
}
Result<void> ReadTransfer(const Arguments& arguments, CliOptions& options) {
  options.command = Command::kOrder;
  options.order = TransferLeadership();
  options.done = "another node leads now";
  if (!arguments.successor) return Success();
  RINGRAFT_TRY(id, ReadId(*arguments.successor));
  options.order = TransferLeadership{NodeId(id)};
  options.done = fmt::format("node {} leads now", id);
  return Success();
}
Result<void> ReadAbort(const Arguments&, CliOptions& options) {
  options.command = Command::kOrder;
  options.order = AbortChange();
  options.done = "the change is cancelled: its new voters no longer catch up";
  return Success();
}

Result<void> ReadRecover(const Arguments& arguments, CliOptions& options) {
  if (arguments.directory.empty()) return Wrong("DIR is empty: name the data directory of a stopped node");
  if (arguments.timeout || !arguments.nodes.empty())
    return Wrong(fmt::format("recover does not take {}: it works on a directory of this machine; drop it",
                             arguments.timeout ? "--timeout" : "--node"));
  options.command = Command::kRecover;
  if (arguments.max_bytes) options.max_bytes = *arguments.max_bytes;
  options.directory = arguments.directory;
  options.is_confirmed = arguments.yes;
  return Success();
}

template <Command command>
Result<void> Read(const Arguments& arguments, CliOptions& options) {
  options.command = command;
  options.json = arguments.json;
  if (command == Command::kWaitIndex) {
    RINGRAFT_TRY(index, ReadNumber("index", arguments.index, 1));
    options.index = Index(index);
  }
  if (command == Command::kWaitHealthy) {
    RINGRAFT_TRY(max_lag, ReadNumber("--lag", arguments.max_lag, 0));
    options.max_lag = max_lag;
  }
  return Success();
}

constexpr Form kForms[] = {
    {"status", "What a node reports of itself and the cluster", AskForJson, Read<Command::kStatus>, kAskTimeout},
    {"members", "The members, as the leader sees them", AskForJson, Read<Command::kMembers>, kAskTimeout},
    {"add", "Add a member; it becomes a voter once it has caught up with the log", DescribeAdd, ReadAdd, kOrderTimeout},
    {"remove", "Remove members, all in one step", DescribeRemove, ReadRemove, kOrderTimeout},
    {"promote", "Make a learner a voter", DescribeId, ReadPromote, kOrderTimeout},
    {"demote", "Make a voter a learner", DescribeId, ReadDemote, kOrderTimeout},
    {"readmit", "Readmit a member that has lost its disk and runs on an empty one", DescribeId, ReadReadmit,
     kOrderTimeout},
    {"move", "Change a member's address", DescribeMove, ReadMove, kOrderTimeout},
    {"transfer", "Transfer leadership", DescribeTransfer, ReadTransfer, kOrderTimeout},
    {"abort", "Cancel a change whose new voters are catching up", DescribeNothing, ReadAbort, kOrderTimeout},
    {"recover", "After the permanent loss of a majority: make a stopped node the only member, by its own log",
     DescribeRecover, ReadRecover, kOrderTimeout, false},
};
constexpr Form kWaits[] = {
    {"leader", "Until a node knows a leader", DescribeNothing, Read<Command::kWaitLeader>, kWaitTimeout},
    {"index", "Until a node has applied its log up to an index",
     [](CLI::App& app, Arguments& arguments) { app.add_option("N", arguments.index, "The log index")->required(); },
     Read<Command::kWaitIndex>, kWaitTimeout},
    {"healthy", "Until all members respond and have the log, and no change is under way",
     [](CLI::App& app, Arguments& arguments) {
       app.add_option("--lag", arguments.max_lag, "Entries that a member may lag")->capture_default_str();
     },
     Read<Command::kWaitHealthy>, kWaitTimeout},
};

void Describe(CLI::App& app, Arguments& arguments) {
  app.footer(
      "The first node that responds is asked; changes are sent on to the leader that it names.\n"
      "Example: ringraft --node 127.0.0.1:7101 add 4 127.0.0.1:7104 --learner\n"
      "Exit codes: 0 done, 1 refused or certainly not done, 2 wrong usage, 3 no response in time, the wait ended in\n"
      "vain, or the outcome is not known");
  app.set_version_flag("--version", fmt::format("ringraft {} (protocol {})", RINGRAFT_VERSION, kProtocolVersion));
  app.fallthrough();
  app.require_subcommand(1);
  // Not by CLI11's envname: what stands in the environment is not on the command line of `recover`.
  app.add_option(
         "--node", arguments.nodes,
         fmt::format("HOST:PORT where a node's peers reach it; may be repeated; or {}=HOST:PORT,...", kNodesVariable))
      ->delimiter(',');
  app.add_option("--group", arguments.group, "Refuse nodes and directories of another group");
  app.add_option(
      "--timeout", arguments.timeout,
      fmt::format("Time limit for the whole command, in seconds (default: {} for queries, {} for changes, {} for "
                  "wait); changes get one more second to report the outcome",
                  kAskTimeout, kOrderTimeout, kWaitTimeout));
  for (const Form& form : kForms) form.describe(*app.add_subcommand(form.name, form.help), arguments);
  CLI::App& wait = *app.add_subcommand("wait", "Wait for a condition")->require_subcommand(1);
  for (const Form& form : kWaits) form.describe(*wait.add_subcommand(form.name, form.help), arguments);
}

const Form& Chosen(const CLI::App& app) {
  const CLI::App& first = *app.get_subcommands().front();
  const bool is_wait = first.get_name() == "wait";
  const std::string& name = is_wait ? first.get_subcommands().front()->get_name() : first.get_name();
  for (const Form& form : is_wait ? std::span<const Form>(kWaits) : std::span<const Form>(kForms)) {
    if (name == form.name) return form;
  }
  return kForms[0];
}

Result<void> Convert(const CLI::App& app, const Arguments& arguments, CliOptions& options) {
  const Form& form = Chosen(app);
  if (form.asks_nodes) {
    RINGRAFT_TRYV(ReadNodes(arguments, options));
    RINGRAFT_TRYV(ReadTimeout(arguments, form.timeout, options));
  }
  if (arguments.group) {
    RINGRAFT_TRY(group, ReadNumber("--group", *arguments.group, 0));
    options.group = GroupId(group);
  }
  return form.read(arguments, options);
}

int Fail(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  fmt::print(stderr, "ringraft: {} (see ringraft --help)\n", text);
  return kExitUsage;
}

std::string NoCommand(std::string_view word) {
  std::string names;
  for (const Form& form : kForms) names += fmt::format("{}, ", form.name);
  return fmt::format("unknown command '{}': expected one of {}wait", word, names);
}

}  // namespace

std::optional<int> ParseCommandLine(int argc, const char* const* argv, CliOptions& options) {
  Arguments arguments;
  CLI::App app("Looks at a ringraft cluster and changes its members, over the port where its nodes are peers.",
               "ringraft");
  Describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> rest = app.remaining();
    if (app.get_subcommands().empty() && !rest.empty()) return Fail(NoCommand(rest.front()));
    return Fail(error.what());
  }
  if (auto ok = Convert(app, arguments, options); !ok) return Fail(ok.error().message());
  return std::nullopt;
}

}  // namespace ringraft::cli
