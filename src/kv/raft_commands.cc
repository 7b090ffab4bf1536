#include "kv/raft_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "base/try.h"
#include "kv/commands.h"
#include "ringraft/options.h"

namespace ringraft::kv {
namespace {

// A change of the members may have to bring a whole log to a new one.
constexpr std::chrono::milliseconds kMembersDeadline = std::chrono::minutes(10);

// A step of a change of members.
struct Step {
  const char* name;
  size_t words;             // with the name
  bool takes_kind = false;  // LEARNER or WITNESS may follow
};

constexpr auto kSteps = std::to_array<Step>(
    {{"add", 3, true}, {"remove", 2}, {"promote", 2}, {"demote", 2}, {"readmit", 2}, {"addr", 3}, {"data", 3}});

bool IsKind(std::string_view word) {
  return EqualsIgnoringCase(word, "learner") || EqualsIgnoringCase(word, "witness");
}

// The step that `words` begin with; null if there is none, or they end within it.
const Step* FindStep(std::span<const std::string_view> words) {
  if (words.empty()) return nullptr;
  const auto found = std::find_if(kSteps.begin(), kSteps.end(),
                                  [&](const Step& step) { return EqualsIgnoringCase(words[0], step.name); });
  return found != kSteps.end() && words.size() >= found->words ? &*found : nullptr;
}

Error InvalidNumber(std::string_view what, std::string_view text) {
  return Error(Errc::kInvalidArgument, fmt::format("invalid {} '{}': expected an integer of at least 1", what, text));
}

// Adds the step that `words` begin with to `change`, and takes its words off.
Result<void> TakeStep(const Step& form, std::span<const std::string_view>& words, ConfigChange& change) {
  const std::string_view name = form.name;
  const auto step = words.first(form.words);
  words = words.subspan(form.words);
  std::string_view kind;
  if (form.takes_kind && !words.empty() && IsKind(words.front())) {
    kind = words.front();
    words = words.subspan(1);
  }
  const auto number = ParseInteger(step[1]);
  if (!number || *number < 1) return InvalidNumber("ID", step[1]);
  const NodeId id(static_cast<uint64_t>(*number));
  if (name == "add" || name == "addr") {
    auto addr = ParseAddr(step[2]);
    if (!addr) return addr.error();
    if (name == "addr") {
      change.SetAddr(id, addr.value());
    } else if (EqualsIgnoringCase(kind, "learner")) {
      change.AddLearner(Peer(id, addr.value()));
    } else if (EqualsIgnoringCase(kind, "witness")) {
      change.AddWitness(Peer(id, addr.value()));
    } else {
      change.AddVoter(Peer(id, addr.value()));
    }
  } else if (name == "remove") {
    change.Remove(id);
  } else if (name == "promote") {
    change.Promote(id);
  } else if (name == "demote") {
    change.Demote(id);
  } else if (name == "readmit") {
    change.Readmit(id);
  } else {
    change.SetData(id, std::string(step[2]));
  }
  return Success();
}

bool IsTransfer(std::span<const std::string_view> args) {
  return (args.size() == 2 || args.size() == 3) && EqualsIgnoringCase(args[1], "transfer");
}

bool IsAbort(std::span<const std::string_view> args) {
  return args.size() == 2 && EqualsIgnoringCase(args[1], "abort");
}

}  // namespace

bool IsClusterCommand(std::span<const std::string_view> args) {
  return IsAbort(args) || IsTransfer(args) || FindStep(args.subspan(1)) != nullptr;
}

Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args) {
  ConfigChange change;
  auto words = args.subspan(1);
  while (const Step* step = FindStep(words)) RINGRAFT_TRYV(TakeStep(*step, words, change));
  if (words.empty()) return change;
  if (words.size() != 2 || !EqualsIgnoringCase(words[0], "if")) {
    return Error(Errc::kInvalidArgument,
                 fmt::format("unexpected '{}': after a step, another complete step or a final IF <index> is expected",
                             words[0].substr(0, 128)));
  }
  const auto index = ParseInteger(words[1]);
  if (!index || *index < 1) return InvalidNumber("index", words[1]);
  change.BasedOn(Index(static_cast<uint64_t>(*index)));
  return change;
}

Task<Result<void>> RunClusterCommand(Raft& raft, std::span<const std::string_view> args,
                                     std::chrono::milliseconds deadline) {
  HandleOptions options;
  options.Timeout(deadline);
  if (IsAbort(args)) {
    auto call = raft.AbortConfigChange(std::move(options));
    Result<void> aborted = co_await call;
    co_return aborted;
  }
  if (IsTransfer(args)) {
    std::optional<int64_t> id = 0;
    if (args.size() == 3) id = ParseInteger(args[2]);
    if (!id || (args.size() == 3 && *id < 1)) co_return InvalidNumber("ID", args[2]);
    auto call = raft.TransferLeadership(NodeId(static_cast<uint64_t>(*id)), std::move(options));
    Result<void> transferred = co_await call;
    co_return transferred;
  }
  Result<ConfigChange> change = ParseMembersCommand(args);
  if (!change) co_return change.error();
  options.Timeout(std::max(deadline, kMembersDeadline));
  auto call = raft.ChangeConfig(std::move(change.value()), std::move(options));
  Result<void> changed = co_await call;
  co_return changed;
}

}  // namespace ringraft::kv
