#include "cli/recover.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <ctime>
#include <filesystem>

#include "cli/report.h"
#include "cli/table.h"
#include "node/identity.h"
#include "node/recovery.h"

namespace ringraft::cli {
namespace {

std::string TimeOf(int64_t ns) {
  if (ns == 0) return {};
  return fmt::format(", written {:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(ns / 1'000'000'000)));
}

std::string MembersOf(const node::RecoveryFacts& facts) {
  std::vector<std::string> members;
  for (const Peer& peer : facts.members.Members()) {
    const char* const kind = facts.members.IsWitness(peer.id) ? "witness"
                             : facts.members.IsVoter(peer.id) ? "voter"
                                                              : "learner";
    members.push_back(fmt::format("{} at {} ({})", peer.id.value(), Printable(peer.addr.text()), kind));
  }
  return fmt::format("{}", fmt::join(members, ", "));
}

std::string OthersOf(const node::RecoveryFacts& facts) {
  std::vector<uint64_t> others;
  for (const Peer& peer : facts.members.Members())
    if (peer.id != facts.identity.node) others.push_back(peer.id.value());
  return fmt::format("{}", fmt::join(others, ", "));
}

std::string Shown(const node::RecoveryFacts& facts, const std::string& directory) {
  Table table;
  const auto fact = [&table](const char* name, const std::string& text) { table.Add({name, text}); };
  const uint64_t self = facts.identity.node.value();
  fact("node", fmt::format("{} of cluster {}, generation {}", self, ToString(facts.identity.cluster),
                           ToString(facts.identity.generation)));
  fact("log", fmt::format("ends at index {} of term {}{}", facts.last_index.value(), facts.last_term.value(),
                          TimeOf(facts.last_append_ns)));
  fact("members",
       fmt::format("{}; {} index {}", MembersOf(facts),
                   facts.members.is_joint() ? "a change is under way since" : "since", facts.members_index.value()));
  return table.Text() +
         fmt::format(
             "\nRecovery makes node {0} the only member, in generation {1} of the cluster:\n"
             "  * what the others have committed after index {2} is lost, although it was acknowledged;\n"
             "  * what this log has is kept, including what was never acknowledged;\n"
             "  * the other members ({3}) are refused from then on: empty the directory of each, start it so that it\n"
             "    waits to join, and add it.\n"
             "Only after the permanent loss of a majority. Look at every remaining directory first, and recover the\n"
             "one whose log ends in the highest term, and among those at the highest index.\n"
             "The log and the members have not been changed. To recover: ringraft recover {4} --yes\n",
             self, facts.identity.generation.counter + 1, facts.last_index.value(), OthersOf(facts),
             Printable(directory));
}

// To the log of another group than the one that is looked for, the database seems to be empty.
Error WithGroup(Storage& storage, GroupId group, const Error& error) {
  const Result<std::string> identity = storage.Store().Get(node::kIdentityKey);
  if (!identity || !identity.value().empty()) return error;
  return Error(Errc::kInvalidArgument, fmt::format("it holds no member of group {}: name its group with --group, or "
                                                   "the directory of a member",
                                                   group.value()));
}

Outcome Refused(const std::string& directory, const Error& error) {
  Outcome outcome;
  outcome.exit_code = kExitFailed;
  outcome.err = fmt::format("{}: {}", Printable(directory), Printable(error.message()));
  return outcome;
}

}  // namespace

Outcome Recover(const CliOptions& options) {
  // To open what is not there would make it.
  const std::filesystem::path directory(options.directory);
  std::error_code error;
  if (!std::filesystem::is_regular_file(directory / "ringraft.mdb", error))
    return Refused(options.directory, Error(Errc::kInvalidArgument,
                                            "not a data directory of a node: it has no ringraft.mdb; name that of a "
                                            "stopped member"));
  LmdbOptions lmdb;
  lmdb.max_bytes = options.max_bytes;
  if (options.group) lmdb.group = *options.group;
  const bool had_redo_file = std::filesystem::exists(directory / "ringraft.redo", error);
  Result<std::shared_ptr<Storage>> storage = OpenLmdbStorage(options.directory, lmdb);
  if (!storage && storage.error() == Errc::kInvalidArgument)
    return Refused(
        options.directory,
        Error(Errc::kInvalidArgument, storage.error().message() + " (--group and --max-bytes must be the node's)"));
  if (!storage) return Refused(options.directory, storage.error());
  const int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  Result<node::RecoveryFacts> facts =
      options.is_confirmed ? node::Recover(*storage.value(), lmdb.group, now_ns) : node::LookAtLog(*storage.value());
  if (!facts) return Refused(options.directory, WithGroup(*storage.value(), lmdb.group, facts.error()));
  Outcome outcome;
  if (!had_redo_file)
    outcome.err = fmt::format(
        "{}: it was of format 1, and is of format 2 now that it has been opened: older builds "
        "refuse it",
        Printable(options.directory));
  outcome.out = options.is_confirmed
                    ? fmt::format("node {} is the only member now, in generation {} of the cluster: start it\n",
                                  facts.value().identity.node.value(), ToString(facts.value().identity.generation))
                    : Shown(facts.value(), options.directory);
  return outcome;
}

}  // namespace ringraft::cli
