#include "scenario.h"

#include <doctest/doctest.h>

#include <string>

#include "commands.h"
#include "diff.h"

namespace ringraft::scenario {
namespace {

std::string ErrorOf(const std::string& text) {
  auto parsed = ParseScenario(text);
  return parsed ? "" : parsed.error().message();
}

Outcome Play(const std::string& text) {
  auto parsed = ParseScenario(text);
  REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message());
  return RunScenario(std::move(parsed.value()));
}

std::string ProblemOf(const std::string& commands) { return Play("# a claim\n" + commands).problem; }

TEST_SUITE("the syntax of scenarios") {
  TEST_CASE("reading and writing a file preserves it") {
    const std::string text =
        "# the claim\n# hazards: B1, B12\n\ncluster 1 2 3\ncampaign 1\n  1: a story -> recorded\n  1: more\n\n# the "
        "end\n";
    auto parsed = ParseScenario(text);
    REQUIRE(parsed.has_value());
    CHECK(WriteScenario(parsed.value()) == text);
    REQUIRE(parsed.value().steps.size() == 2);
    CHECK(parsed.value().steps[1].line == 5);
    CHECK(parsed.value().steps[1].story.size() == 2);
    CHECK(parsed.value().hazards == std::vector<std::string>{"B1", "B12"});
  }

  TEST_CASE("an invalid word is reported with its line and what is expected") {
    const std::string begin = "# a claim\ncluster 1 2\n";
    CHECK(ErrorOf(begin + "campain 1\n")
              .starts_with("line 3: invalid command 'campain': expected cluster, empty, log-of"));
    CHECK(ErrorOf(begin + "campaign x\n") ==
          "line 3: campaign: invalid server 'x': expected an integer from 1 to 9 (campaign SERVER)");
    CHECK(ErrorOf(begin + "campaign\n").starts_with("line 3: campaign: missing word at the end: expected a server"));
    CHECK(ErrorOf(begin + "campaign 1 2\n")
              .starts_with("line 3: campaign: invalid word '2': expected the end of the line"));
    CHECK(ErrorOf(begin + "tick 5\n")
              .starts_with("line 3: tick: invalid duration '5': expected a duration such as 100ms"));
    CHECK(ErrorOf(begin + "tick 11m\n").starts_with("line 3: tick: invalid duration '11m'"));
    CHECK(ErrorOf(begin + "tick 601s\n").starts_with("line 3: tick: invalid duration '601s'"));
    CHECK(ErrorOf(begin + "tick 999999999999999999s\n").starts_with("line 3: tick:"));
    CHECK(ErrorOf(begin + "deliver 1-2\n").starts_with("line 3: deliver: invalid link '1-2': expected FROM->TO"));
    CHECK(ErrorOf(begin + "deliver 1->1\n").starts_with("line 3: deliver: invalid link '1->1'"));
    CHECK(ErrorOf(begin + "deliver 1->2 apend\n")
              .starts_with("line 3: deliver: invalid message kind 'apend': expected pre-vote, vote,"));
    CHECK(ErrorOf(begin + "partition 1 2\n").starts_with("line 3: partition: missing word at the end: expected '|'"));
    CHECK(ErrorOf(begin + "partition 1 | 1 1\n")
              .starts_with("line 3: partition: invalid server '1': expected each server once"));
    CHECK(
        ErrorOf(begin + "change 1 2\n").starts_with("line 3: change: invalid change '2': expected +SERVER (a voter)"));
    CHECK(ErrorOf(begin + "log-of 1 terms 2 1\n")
              .starts_with("line 3: log-of: invalid term '1': expected terms that do not decrease"));
    CHECK(ErrorOf(begin + "expect role 1 king\n")
              .starts_with("line 3: expect: invalid role 'king': expected follower, "));
    CHECK(ErrorOf(begin + "propose 1\n").starts_with("line 3: propose: missing word"));
    CHECK(ErrorOf(begin + "set window-calls 1000001\n").starts_with("line 3: set: invalid limit '1000001'"));
  }

  TEST_CASE("a text that does not consist of commands and stories is refused") {
    CHECK(ErrorOf("") == "line 0: missing command: expected at least one");
    CHECK(ErrorOf("# nothing\n") == "line 1: missing command: expected at least one");
    CHECK(ErrorOf("cluster 1\n") == "line 1: missing comment: expected a first line '# ...' that states the claim");
    CHECK(ErrorOf("# a\n  a story\n").starts_with("line 2: invalid story line: expected a command directly above it"));
    CHECK(ErrorOf("# a\ncluster 1\n\n  a story\n")
              .starts_with("line 4: invalid story line: expected a command directly above it"));
    CHECK(ErrorOf("# a\ncluster\t1\n").starts_with("line 2: invalid byte 9: expected printable ASCII"));
    CHECK(ErrorOf("# a\ncluster 1\r\n").starts_with("line 2: invalid byte 13: "));
    CHECK(ErrorOf("# \xff\n").starts_with("line 1: invalid byte 255: "));
    CHECK(ErrorOf("# " + std::string(2000, 'x') + "\n") == "line 1: 2002 bytes; a line has at most 1024");
    CHECK(ErrorOf(std::string(kMaxFileBytes + 1, '\n')).starts_with("262145 bytes"));
    std::string many = "# a\ncluster 1\n";
    for (size_t i = 0; i < kMaxSteps; ++i) many += "status\n";
    CHECK(ErrorOf(many) == "line 502: more commands than the limit of 500; split the file");
  }

  TEST_CASE("any truncation and any changed byte of a file gives a scenario or an error, never a crash") {
    const std::string text =
        "# a claim\n# hazards: A1\nset window-calls 2\ncluster 1 2 3\nlog-of 1 terms 1 2 term 4 vote 2\n"
        "partition 1 | 2 3\n  lost\ndeliver *->2 vote 3\nchange 1 +4 -2\nexpect joint 1 1 2 | 3\ntick 100ms\n";
    REQUIRE(ParseScenario(text).has_value());
    size_t read = 0;
    for (size_t at = 0; at < text.size(); ++at) {
      read += ParseScenario(std::string_view(text).substr(0, at)).has_value();
      for (char byte : {' ', '\n', '#', '0', '9', '-', '>', '|', '*', '\0', '\xff'}) {
        std::string changed = text;
        changed[at] = byte;
        read += ParseScenario(changed).has_value();
      }
    }
    CHECK(read > 0);
  }
}

TEST_SUITE("running scenarios") {
  TEST_CASE("an impossible command is refused with the reason") {
    CHECK(ProblemOf("campaign 1\n") == "server 1 does not exist; existing servers: ");
    CHECK(ProblemOf("tick 1s\n") == "there are no servers yet: begin with 'cluster SERVER...'");
    CHECK(ProblemOf("cluster 1\ncampaign 2\n") == "server 2 does not exist; existing servers: 1");
    CHECK(ProblemOf("cluster 1 2\ncluster 3\n") == "the cluster already exists: name it once");
    CHECK(ProblemOf("cluster 1 2\nempty 2\n") == "server 2 already exists: name it once");
    CHECK(ProblemOf("cluster 1 2\ncrash 1\ncampaign 1\n") == "server 1 is down; restart it first");
    CHECK(ProblemOf("cluster 1 2\nrestart 1\n") == "server 1 is up; crash it first");
    CHECK(ProblemOf("cluster 1\nelect 1\nempty 2\n") == "set-up must precede all events: move it up");
    CHECK(ProblemOf("cluster 1\nset durable-machine\n") ==
          "settings must precede the servers: move it above 'cluster'");
    CHECK(ProblemOf("cluster 1 2 3\npartition 1 | 2\n") == "each server must be in one group; existing servers: 1 2 3");
    CHECK(ProblemOf("cluster 1 2\ndeliver 1->2\n") ==
          "no such message is in flight on 1->2; the command 'wire' lists all messages");
    CHECK(ProblemOf("cluster 1 2\nflush 1\n") == "server 1 has nothing pending for this command");
    CHECK(ProblemOf("cluster 1\nelect 1\ncampaign 1\n") == "server 1 is already leader");
  }

  TEST_CASE("a false claim is a failure that names the actual state") {
    CHECK(ProblemOf("cluster 1\nelect 1\nexpect commit 1 7\n") ==
          "the claim does not hold: the commit of 1 is 2, not 7");
    CHECK(ProblemOf("cluster 1\nexpect leader 1\n") ==
          "the claim does not hold: the leader of the newest term is 0, not 1");
    CHECK(ProblemOf("cluster 1\nelect 1\nexpect log 1 terms 1 3\n") ==
          "the claim does not hold: the log of 1 is 1 2, not 1 3");
  }

  TEST_CASE("given logs that match at an index and differ before it break log matching") {
    CHECK(ProblemOf("cluster 1 2\nlog-of 1 terms 1 1 3\nlog-of 2 terms 1 2 3\n") ==
          "broken invariant: the logs of 1 and 2 match at an index and differ before it (log matching)");
  }

  TEST_CASE("each scenario must come to rest, whatever was held, cut and crashed") {
    CHECK(ProblemOf("cluster 1 2 3\nhold 1->*\nhold-disk 2\nhold-apply 3\nelect 2\ncrash 2\ncut 3->1\n").empty());
    CHECK(ProblemOf("cluster 1 2 3\nlog-of 1 terms 1 2\nlog-of 2 terms 1 1 3\npartition 1 | 2 | 3\nrun 3s\n").empty());
  }

  TEST_CASE("a cluster that cannot come to rest is a failure") {
    CHECK(ProblemOf("cluster 1 2 3\nelect 1\nwipe 1\nwipe 2\nwipe 3\n") ==
          "the repaired cluster does not come to rest within 30s: there is no leader");
  }

  TEST_CASE("the same text gives the same story") {
    const std::string text = "# a\ncluster 1 2 3 4 5\nelect 2\npartition 1 2 | 3 4 5\nrun 3s\nheal\nrun 1s\nstatus\n";
    const std::string actual = WriteScenario(Play(text).scenario);
    CHECK(actual != text);
    CHECK(WriteScenario(Play(text).scenario) == actual);
    CHECK(WriteScenario(Play(actual).scenario) == actual);  // a rewritten file is its own expectation
  }
}

TEST_SUITE("differences of stories") {
  TEST_CASE("equal texts have no difference") { CHECK(UnifiedDiff("x", "a\nb\n", "a\nb\n").empty()); }

  TEST_CASE("a difference is a unified diff with three lines of context") {
    CHECK(UnifiedDiff("x", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n") ==
          "--- x (expected)\n+++ x (actual)\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
    CHECK(UnifiedDiff("x", "", "a\n") == "--- x (expected)\n+++ x (actual)\n@@ -1,0 +1,1 @@\n+a\n");
  }

  TEST_CASE("distant changes are separate hunks") {
    std::string expected;
    for (int i = 1; i <= 30; ++i) expected += std::to_string(i) + "\n";
    std::string actual = expected;
    actual.replace(actual.find("2\n"), 1, "x");
    actual.replace(actual.find("29\n"), 2, "y");
    const std::string diff = UnifiedDiff("x", expected, actual);
    CHECK(diff.find("@@ -1,5 +1,5 @@") != std::string::npos);
    CHECK(diff.find("@@ -26,5 +26,5 @@") != std::string::npos);
  }
}

}  // namespace
}  // namespace ringraft::scenario
