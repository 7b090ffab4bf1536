#include "kv/members.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "kv/commands.h"
#include "ringraft/options.h"

namespace ringraft::kv {
namespace {

struct Form {
  const char* name;
  size_t words;             // with the name
  bool takes_kind = false;  // LEARNER or WITNESS may follow
};

constexpr auto kForms = std::to_array<Form>(
    {{"add", 3, true}, {"remove", 2}, {"promote", 2}, {"demote", 2}, {"readmit", 2}, {"addr", 3}, {"data", 3}});

bool IsKind(std::string_view word) {
  return EqualsIgnoringCase(word, "learner") || EqualsIgnoringCase(word, "witness");
}

// The form of the step that `words` begin with; null if they begin with none, or end within it.
const Form* FindForm(std::span<const std::string_view> words) {
  if (words.empty()) return nullptr;
  const auto found = std::find_if(kForms.begin(), kForms.end(),
                                  [&](const Form& form) { return EqualsIgnoringCase(words[0], form.name); });
  return found != kForms.end() && words.size() >= found->words ? &*found : nullptr;
}

Error NoNumber(std::string_view what, std::string_view text) {
  return Error(Errc::kInvalidArgument, fmt::format("the {} '{}' is no number of at least 1", what, text));
}

// Adds the step that `words` begin with to `change`, and takes its words off.
Result<void> TakeStep(const Form& form, std::span<const std::string_view>& words, ConfigChange& change) {
  const std::string_view name = form.name;
  const auto step = words.first(form.words);
  words = words.subspan(form.words);
  std::string_view kind;
  if (form.takes_kind && !words.empty() && IsKind(words.front())) {
    kind = words.front();
    words = words.subspan(1);
  }
  const auto number = ParseInteger(step[1]);
  if (!number || *number < 1) return NoNumber("id", step[1]);
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

}  // namespace

bool IsMembersCommand(std::span<const std::string_view> args) { return FindForm(args.subspan(1)) != nullptr; }

Result<ConfigChange> ParseMembersCommand(std::span<const std::string_view> args) {
  ConfigChange change;
  auto words = args.subspan(1);
  while (const Form* form = FindForm(words)) {
    if (auto ok = TakeStep(*form, words, change); !ok) return ok.error();
  }
  if (words.empty()) return change;
  if (words.size() != 2 || !EqualsIgnoringCase(words[0], "if")) {
    return Error(Errc::kInvalidArgument,
                 fmt::format("'{}' begins no whole step: after a step comes another one, or IF <index> as the end",
                             words[0].substr(0, 128)));
  }
  const auto index = ParseInteger(words[1]);
  if (!index || *index < 1) return NoNumber("index", words[1]);
  change.BasedOn(Index(static_cast<uint64_t>(*index)));
  return change;
}

}  // namespace ringraft::kv
