// The words of the RAFT subcommands that change the members.
#include "kv/raft_commands.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "kv/request_parser.h"

namespace ringraft::kv {
namespace {

const char* Name(ConfigChange::StepKind kind) {
  using enum ConfigChange::StepKind;
  switch (kind) {
    case kAddVoter:
      return "voter";
    case kAddLearner:
      return "learner";
    case kRemove:
      return "remove";
    case kPromote:
      return "promote";
    case kDemote:
      return "demote";
    case kSetAddr:
      return "addr";
    case kSetData:
      return "data";
    case kAddWitness:
      return "witness";
    case kReadmit:
      return "readmit";
  }
  return "?";
}

// The steps as text; "no members command"; or what is wrong.
std::string Parse(std::string_view line) {
  Request request;
  REQUIRE(SplitInline(line, request));
  if (!IsClusterCommand(request.args())) return "no members command";
  const Result<ConfigChange> change = ParseMembersCommand(request.args());
  if (!change) return change.error().message();
  std::string text;
  for (const ConfigChange::Step& step : change.value().steps()) {
    text += fmt::format("{} {} {}{}; ", Name(step.kind), step.peer.id.value(), step.peer.addr.text(), step.data);
  }
  if (change.value().based_on()) text += fmt::format("if {}", change.value().based_on()->value());
  return text;
}

TEST_SUITE("kv: members") {
  TEST_CASE("one step, or several that are one change, each in its own words") {
    const std::pair<const char*, const char*> cases[] = {
        {"raft add 2 h:1", "voter 2 h:1; "},
        {"RAFT ADD 2 h:1 LEARNER", "learner 2 h:1; "},
        {"RAFT ADD 2 h:1 witness", "witness 2 h:1; "},
        {"raft remove 2", "remove 2 ; "},
        {"raft readmit 2", "readmit 2 ; "},
        {"raft promote 2", "promote 2 ; "},
        {"raft demote 2", "demote 2 ; "},
        {"raft addr 2 h:1", "addr 2 h:1; "},
        {"raft data 2 text", "data 2 text; "},
        {"raft add 2 h:1 add 3 h:2 learner remove 1", "voter 2 h:1; learner 3 h:2; remove 1 ; "},
        {"raft remove 1 remove 2 remove 3 if 9", "remove 1 ; remove 2 ; remove 3 ; if 9"},
        {"raft add 2 h:1 learner if 9", "learner 2 h:1; if 9"},
        // Words of data are no words of the grammar.
        {"raft data 2 remove data 3 if if 9", "data 2 remove; data 3 if; if 9"},
    };
    for (const auto& [line, steps] : cases) {
      CAPTURE(line);
      CHECK(Parse(line) == steps);
    }
  }

  TEST_CASE("an incomplete step is named") {
    const std::pair<const char*, const char*> cases[] = {
        {"raft add 2", "no members command"},
        {"raft remove", "no members command"},
        {"raft status", "no members command"},
        {"raft if 9", "no members command"},
        {"raft add 0 h:1", "invalid ID '0': expected an integer of at least 1"},
        {"raft remove 1 remove x", "invalid ID 'x': expected an integer of at least 1"},
        {"raft remove 1 if x", "invalid index 'x': expected an integer of at least 1"},
        {"raft remove 1 if 0", "invalid index '0': expected an integer of at least 1"},
        {"raft remove 1 2", "unexpected '2': after a step, another complete step or a final IF <index> is expected"},
        {"raft remove 1 learner",
         "unexpected 'learner': after a step, another complete step or a final IF <index> is expected"},
        {"raft remove 1 add 2",
         "unexpected 'add': after a step, another complete step or a final IF <index> is expected"},
        {"raft remove 1 if 9 remove 2",
         "unexpected 'if': after a step, another complete step or a final IF <index> is expected"},
    };
    for (const auto& [line, error] : cases) {
      CAPTURE(line);
      CHECK(Parse(line) == error);
    }
    CHECK(Parse("raft remove 1 add 2 nowhere").find("nowhere") != std::string::npos);
  }
}

}  // namespace
}  // namespace ringraft::kv
