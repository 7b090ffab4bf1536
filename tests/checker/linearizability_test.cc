#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "checker/models.h"
#include "generated.h"
#include "history_text.h"
#include "known_histories.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::CheckLinearizable;
using sim::LinearizabilityResult;
namespace {

using Verdict = LinearizabilityResult::Verdict;

std::vector<std::string> Commands(const std::vector<Operation>& history) {
  std::vector<std::string> commands;
  for (const Operation& operation : history) {
    commands.push_back(operation.command + (operation.result ? " -> " + *operation.result : ""));
  }
  std::sort(commands.begin(), commands.end());
  return commands;
}

LinearizabilityResult CheckStory(Workload workload, const std::string& text) {
  return CheckLinearizable(*MakeModel(workload), ParseHistory(text));
}

TEST_SUITE("sim: linearizability") {
  TEST_CASE("known bad histories are rejected, and similar good ones pass") {
    std::set<std::string> claims;
    for (const KnownHistory& known : kKnownHistories) {
      CAPTURE(known.claim);
      claims.insert(known.claim);
      const auto model = MakeModel(known.workload);
      const std::vector<Operation> bad = ParseHistory(known.bad);
      const std::vector<Operation> good = ParseHistory(known.good);
      for (const Operation& operation : bad) CHECK(model->IsCommand(operation.command));
      const LinearizabilityResult result = CheckLinearizable(*model, bad);
      CHECK(result.verdict == Verdict::kNotLinearizable);
      CHECK(!result.ok());
      CHECK(!result.offending.empty());
      CHECK(result.offending.size() <= bad.size());
      CHECK(CheckLinearizable(*model, result.offending).verdict == Verdict::kNotLinearizable);
      const LinearizabilityResult similar = CheckLinearizable(*model, good);
      INFO(similar.Text(*model));
      CHECK(similar.ok());
    }
    CHECK(claims.size() >= 30);
    CHECK(claims.size() == std::size(kKnownHistories));
  }

  TEST_CASE("a history without operations, or with only unknown ones, passes") {
    const auto model = MakeModel(Workload::kRegisters);
    CHECK(CheckLinearizable(*model, {}).ok());
    CHECK(CheckStory(Workload::kRegisters, "1 0-? write x 1\n 2 0-? cas x 4 5\n 3 0-? read x\n").ok());
  }

  TEST_CASE("an answer that the service never gives is rejected") {
    for (const char* answer : {"maybe", "", "ok "}) {
      std::vector<Operation> history = ParseHistory("1 0-10 write x 1 -> ok\n");
      history[0].result = answer;
      CHECK(CheckLinearizable(*MakeModel(Workload::kRegisters), history).verdict == Verdict::kNotLinearizable);
    }
  }

  TEST_CASE("an unknown command is rejected") {
    CHECK(!CheckStory(Workload::kRegisters, "1 0-10 jump x 1 -> ok\n").ok());
    CHECK(!MakeModel(Workload::kRegisters)->IsCommand("jump x 1"));
  }

  TEST_CASE("giving up counts as a failure, and its text says what to do") {
    const auto model = MakeModel(Workload::kRegisters);
    Dice dice(1);
    HistoryPlan plan;
    plan.operations = 1000;
    const std::vector<Operation> history = Generate(plan, dice);
    const LinearizabilityResult result = CheckLinearizable(*model, history, 100);
    CHECK(result.verdict == Verdict::kGaveUp);
    CHECK(!result.ok());
    CHECK(result.Text(*model).find("not checked: partition 'k") == 0);
    CHECK(result.Text(*model).find("allow more") != std::string::npos);
    CHECK(CheckLinearizable(*model, history).ok());
  }

  TEST_CASE("a partition that is too hard does not hide a failure of another") {
    const auto model = MakeModel(Workload::kRegisters);
    Dice dice(2);
    HistoryPlan plan;
    plan.operations = 1000;
    plan.keys = 1;  // k0
    std::vector<Operation> history = Generate(plan, dice);
    const std::vector<Operation> bad = ParseHistory("77 0-10 read z -> =1\n");
    history.insert(history.end(), bad.begin(), bad.end());
    const LinearizabilityResult result = CheckLinearizable(*model, history, 400);
    CHECK(result.verdict == Verdict::kNotLinearizable);
    CHECK(result.partition == "z");
  }

  TEST_CASE("a counterexample keeps the write of the value that a stale read returned") {
    std::string text;
    for (int i = 0; i < 50; ++i) {
      text += fmt::format("1 {}-{} write x {} -> ok\n", 20 * i, 20 * i + 9, i);
      text += fmt::format("2 {}-{} read x -> ={}\n", 20 * i + 5, 20 * i + 18, i);
      text += fmt::format("3 {}-? write x {}\n", 20 * i + 1, 1000 + i);
    }
    text += "4 500-512 read x -> =20\n";
    const LinearizabilityResult result = CheckStory(Workload::kRegisters, text);
    REQUIRE(result.verdict == Verdict::kNotLinearizable);
    INFO(result.Text(*MakeModel(Workload::kRegisters)));
    const std::vector<std::string> commands = Commands(result.offending);
    CHECK(commands.size() <= 4);
    CHECK(std::count(commands.begin(), commands.end(), "write x 20 -> ok") == 1);
    CHECK(std::count(commands.begin(), commands.end(), "read x -> =20") == 1);
  }

  TEST_CASE("the counterexample of a lost addition is two operations, however many came before and after") {
    std::string text;
    for (int i = 0; i < 200; ++i) {
      const int sum = i < 120 ? i + 1 : i;  // the 120th and the 121st got the same sum
      text += fmt::format("1 {}-{} add c 1 -> {}\n", 20 * i, 20 * i + 9, sum);
    }
    const LinearizabilityResult result = CheckStory(Workload::kCounters, text);
    REQUIRE(result.verdict == Verdict::kNotLinearizable);
    CHECK(Commands(result.offending) == std::vector<std::string>{"add c 1 -> 120", "add c 1 -> 120"});
  }

  TEST_CASE("the counterexample of two conflicting reads is those reads and the entries in conflict") {
    std::string text;
    std::string list;
    for (int i = 0; i < 40; ++i) {
      text += fmt::format("1 {}-{} append l v{} -> {}\n", 20 * i, 20 * i + 9, i, i + 1);
      list += fmt::format("{}v{}", i == 0 ? "" : " ", i);
      text += fmt::format("2 {}-{} read l -> [{}]\n", 20 * i + 10, 20 * i + 19, i == 30 ? "v0" : list);
    }
    const LinearizabilityResult result = CheckStory(Workload::kLists, text);
    REQUIRE(result.verdict == Verdict::kNotLinearizable);
    INFO(result.Text(*MakeModel(Workload::kLists)));
    const std::vector<std::string> commands = Commands(result.offending);
    CHECK(commands.size() <= 3);
    CHECK(std::count(commands.begin(), commands.end(), "read l -> [v0]") == 1);
    CHECK(CheckLinearizable(*MakeModel(Workload::kLists), result.offending).verdict == Verdict::kNotLinearizable);
  }

  TEST_CASE("the text of a failure has a line for each operation, in order of time") {
    const auto model = MakeModel(Workload::kKeyValue);
    const LinearizabilityResult result = CheckStory(
        Workload::kKeyValue,
        "7 5000000-6500000 GET k -> $-1\\r\\n\n 3 1000000-2000000 SET k a%0Ab -> +OK\\r\\n\n"
        "4 100-? DEL other\n 5 100-2000123 GET other -> $-1\\r\\n\n");
    REQUIRE(result.verdict == Verdict::kNotLinearizable);
    CHECK(result.Text(*model) ==
          "not linearizable: no order of these 2 operations on partition 'k' explains their answers, whatever effect "
          "the omitted operations had\n"
          "  client 3          1.000 ms ..       2.000 ms  SET k a%0Ab -> OK\n"
          "  client 7          5.000 ms ..       6.500 ms  GET k -> nil\n");
    CHECK(LinearizabilityResult().Text(*model) == "linearizable\n");
  }
}

}  // namespace
}  // namespace ringraft::checker
