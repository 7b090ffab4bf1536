// The command line: what becomes of it, and what is refused.
#include "cli/options.h"

#include <doctest/doctest.h>

#include <cstdlib>

namespace ringraft::cli {
namespace {

TEST_SUITE_BEGIN("cli options");

using StepKind = ConfigChange::StepKind;

std::optional<int> Parse(std::vector<const char*> words, CliOptions& options) {
  words.insert(words.begin(), "ringraft");
  return ParseCommandLine(static_cast<int>(words.size()), words.data(), options);
}

// With a node named.
CliOptions Good(std::vector<const char*> words) {
  CliOptions options;
  words.insert(words.end(), {"--node", "a:1"});
  REQUIRE_FALSE(Parse(std::move(words), options));
  return options;
}

int Bad(std::vector<const char*> words) {
  CliOptions options;
  return Parse(std::move(words), options).value_or(0);
}

const ConfigChange& Change(const CliOptions& options) { return std::get<ConfigChange>(options.order); }

TEST_CASE("nodes come from the command line, or else from RINGRAFT_NODES") {
  CliOptions options;
  setenv("RINGRAFT_NODES", "x:1,[::1]:2", 1);
  REQUIRE_FALSE(Parse({"status"}, options));
  CHECK(options.nodes == std::vector<Addr>{Addr("x:1"), Addr("[::1]:2")});
  options = CliOptions();
  REQUIRE_FALSE(Parse({"--node", "a:1", "status", "--node", "b:2"}, options));
  CHECK(options.nodes == std::vector<Addr>{Addr("a:1"), Addr("b:2")});
  unsetenv("RINGRAFT_NODES");
  CHECK(Bad({"status"}) == kExitUsage);
  CHECK(Bad({"status", "--node", "nowhere"}) == kExitUsage);
  CHECK(Bad({"status", "--node", ""}) == kExitUsage);
  setenv("RINGRAFT_NODES", "x:1,,y:2", 1);
  CHECK(Bad({"status"}) == kExitUsage);
  setenv("RINGRAFT_NODES", "", 1);
  CHECK(Bad({"status"}) == kExitUsage);
  unsetenv("RINGRAFT_NODES");
}

TEST_CASE("recover asks no node: what is about nodes is refused, unless it stands in the environment") {
  CliOptions options;
  setenv("RINGRAFT_NODES", "x:1", 1);
  REQUIRE_FALSE(Parse({"recover", "data", "--max-bytes", "1GB", "--group", "7"}, options));
  unsetenv("RINGRAFT_NODES");
  CHECK(options.command == Command::kRecover);
  CHECK(options.directory == "data");
  CHECK(options.max_bytes == size_t{1} << 30);
  CHECK(options.group == GroupId(7));
  CHECK_FALSE(options.is_confirmed);
  options = CliOptions();
  REQUIRE_FALSE(Parse({"recover", "data", "--yes"}, options));
  CHECK(options.max_bytes == LmdbOptions().max_bytes);
  CHECK(options.is_confirmed);
  CHECK(Bad({"recover", "data", "--node", "a:1"}) == kExitUsage);
  CHECK(Bad({"recover", "data", "--timeout", "5"}) == kExitUsage);
  CHECK(Bad({"recover", ""}) == kExitUsage);
  CHECK(Bad({"recover", "data", "--group", ""}) == kExitUsage);
  CHECK(Bad({"recover", "data", "--max-bytes", ""}) == kExitUsage);
}

TEST_CASE("what is given empty is not as if it had been left out") {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {"remove", "3", "--if", ""},
           {"add", "4", "d:4", "--if", ""},
           {"promote", "4", "--if="},
           {"transfer", ""},
           {"status", "--group", ""},
           {"status", "--timeout", ""},
           {"wait", "healthy", "--lag", ""},
           {"wait", "index", ""},
           {"remove", ""},
       }) {
    std::vector<const char*> all{"--node", "a:1"};
    all.insert(all.end(), words.begin(), words.end());
    CAPTURE(std::string(words[0]));
    CHECK(Bad(all) == kExitUsage);
  }
}

TEST_CASE("each change becomes its steps") {
  CliOptions options = Good({"add", "4", "d:4", "--learner", "--data", "zone b", "--if", "17"});
  CHECK(options.command == Command::kOrder);
  CHECK(options.done == "node 4 at d:4 is a learner now");
  REQUIRE(Change(options).steps().size() == 2);
  CHECK(Change(options).steps()[0].kind == StepKind::kAddLearner);
  CHECK(Change(options).steps()[0].peer == Peer(NodeId(4), Addr("d:4")));
  CHECK(Change(options).steps()[1].kind == StepKind::kSetData);
  CHECK(Change(options).steps()[1].data == "zone b");
  CHECK(Change(options).based_on() == Index(17));

  options = Good({"add", "4", "d:4"});
  REQUIRE(Change(options).steps().size() == 1);
  CHECK(Change(options).steps()[0].kind == StepKind::kAddVoter);
  CHECK_FALSE(Change(options).based_on());
  options = Good({"add", "4", "d:4", "--witness"});
  REQUIRE(Change(options).steps().size() == 1);
  CHECK(Change(options).steps()[0].kind == StepKind::kAddWitness);
  CHECK(options.done == "node 4 at d:4 is a witness now");
  CHECK(Change(Good({"readmit", "4"})).steps()[0].kind == StepKind::kReadmit);
  options = Good({"remove", "4", "5"});
  REQUIRE(Change(options).steps().size() == 2);
  CHECK(Change(options).steps()[1].kind == StepKind::kRemove);
  CHECK(Change(options).steps()[1].peer.id == NodeId(5));
  CHECK(Change(Good({"promote", "4"})).steps()[0].kind == StepKind::kPromote);
  CHECK(Change(Good({"demote", "4"})).steps()[0].kind == StepKind::kDemote);
  options = Good({"move", "4", "e:5"});
  CHECK(Change(options).steps()[0].kind == StepKind::kSetAddr);
  CHECK(Change(options).steps()[0].peer == Peer(NodeId(4), Addr("e:5")));
  CHECK(std::get<TransferLeadership>(Good({"transfer"}).order).to == NodeId(0));
  CHECK(std::get<TransferLeadership>(Good({"transfer", "4"}).order).to == NodeId(4));
  CHECK(std::holds_alternative<AbortChange>(Good({"abort"}).order));
}

TEST_CASE("commands have their own timeouts, unless they are given one") {
  CHECK(Good({"status"}).timeout == std::chrono::seconds(5));
  CHECK(Good({"promote", "4"}).timeout == std::chrono::seconds(60));
  CHECK(Good({"wait", "leader"}).timeout == std::chrono::seconds(30));
  CHECK(Good({"status", "--timeout", "0.5"}).timeout == std::chrono::milliseconds(500));
  CHECK(Good({"wait", "index", "7"}).index == Index(7));
  CHECK(Good({"wait", "healthy"}).max_lag == 1000);
  CHECK(Good({"wait", "healthy", "--lag", "0"}).max_lag == 0);
  CHECK(Good({"members", "--json"}).json);
  CHECK(Good({"status", "--group", "0"}).group == GroupId(0));
  CHECK_FALSE(Good({"status"}).group);
}

TEST_CASE("what makes no sense is refused with 2") {
  for (const std::vector<const char*>& words : std::vector<std::vector<const char*>>{
           {},
           {"frobnicate"},
           {"status", "more"},
           {"add", "4"},
           {"add", "0", "d:4"},
           {"add", "-1", "d:4"},
           {"add", "x", "d:4"},
           {"add", "4", "d"},
           {"add", "4", "d:99999"},
           {"remove"},
           {"remove", "1", "x"},
           {"remove", "18446744073709551616"},
           {"promote", "4", "--if", "0"},
           {"promote", "4", "--if", "x"},
           {"move", "4"},
           {"add", "4", "d:4", "--learner", "--witness"},
           {"transfer", "0"},
           {"transfer", "1", "2"},
           {"abort", "1"},
           {"wait"},
           {"wait", "index"},
           {"wait", "index", "-3"},
           {"wait", "leader", "3"},
           {"wait", "healthy", "--lag", "-1"},
           {"status", "--timeout", "0"},
           {"status", "--timeout", "-1"},
           {"status", "--timeout", "nan"},
           {"status", "--timeout", "1e9"},
           {"status", "--group", "-1"},
           {"promote", "4", "--json"},
       }) {
    std::vector<const char*> all{"--node", "a:1"};
    all.insert(all.end(), words.begin(), words.end());
    std::string text;
    for (const char* word : words) text += std::string(word) + " ";
    CAPTURE(text);
    CHECK(Bad(all) == kExitUsage);
  }
}

TEST_CASE("help and version are 0") {
  CHECK(Parse({"--help"}, *std::make_unique<CliOptions>()) == 0);
  CHECK(Parse({"--version"}, *std::make_unique<CliOptions>()) == 0);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::cli
