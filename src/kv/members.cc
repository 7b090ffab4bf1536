#include "kv/members.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "kv/commands.h"
#include "ringraft/options.h"

namespace ringraft::kv {
namespace {

struct Form {
  const char* name;
  size_t words;          // with RAFT and the name
  bool takes_kind = false;  // LEARNER or WITNESS may follow
};

constexpr auto kForms = std::to_array<Form>(
    {{"add", 4, true}, {"remove", 3}, {"promote", 3}, {"demote", 3}, {"readmit", 3}, {"addr", 4}, {"data", 4}});

bool IsKind(std::string_view word) {
  return EqualsIgnoringCase(word, "learner") || EqualsIgnoringCase(word, "witness");
}

bool HasCondition(std::span<const std::string_view> args) {
  return args.size() >= 5 && EqualsIgnoringCase(args[args.size() - 2], "if");
}

const Form* FindForm(std::span<const std::string_view> args) {
  if (HasCondition(args)) args = args.first(args.size() - 2);
  for (const Form& form : kForms) {
    if (args.size() < 3 || !EqualsIgnoringCase(args[1], form.name)) continue;
    if (args.size() == form.words) return &form;
    if (args.size() == form.words + 1 && form.takes_kind && IsKind(args.back())) return &form;
  }
  return nullptr;
}

Error NoNumber(std::string_view what, std::string_view text) {
  return Error(Errc::kInvalidArgument, fmt::format("the {} '{}' is no number of at least 1", what, text));
}

}  // namespace

bool IsMembersCommand(std::span<const std::string_view> args) { return FindForm(args) != nullptr; }

Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args) {
  const Form& form = *FindForm(args);
  const std::string_view name = form.name;
  ConfigChange change;
  if (HasCondition(args)) {
    const auto index = ParseInteger(args.back());
    if (!index || *index < 1) return NoNumber("index", args.back());
    change.BasedOn(Index(static_cast<uint64_t>(*index)));
    args = args.first(args.size() - 2);
  }
  const auto number = ParseInteger(args[2]);
  if (!number || *number < 1) return NoNumber("id", args[2]);
  const NodeId id(static_cast<uint64_t>(*number));
  if (name == "add" || name == "addr") {
    auto addr = ParseAddr(args[3]);
    if (!addr) return addr.error();
    if (name == "addr") {
      change.SetAddr(id, addr.value());
    } else if (args.size() > form.words) {
      const Peer peer(id, addr.value());
      EqualsIgnoringCase(args.back(), "witness") ? change.AddWitness(peer) : change.AddLearner(peer);
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
    change.SetData(id, std::string(args[3]));
  }
  return change;
}

}  // namespace ringraft::kv
