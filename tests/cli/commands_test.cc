// How commands end: what is printed, and the exit code.
#include "cli/commands.h"

#include <doctest/doctest.h>

#include "fake_network.h"

namespace ringraft::cli {
namespace {

TEST_SUITE_BEGIN("cli commands");

CliOptions Options(Command command, int seconds = 5) {
  CliOptions options;
  options.nodes = kAll;
  options.command = command;
  options.timeout = std::chrono::seconds(seconds);
  return options;
}

bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST_CASE("status is the first node's, members the leader's") {
  FakeNetwork network;
  Lead(network, 3);
  CliOptions options = Options(Command::kStatus);
  Outcome outcome = Run(options, network);
  CHECK(outcome.exit_code == 0);
  CHECK(Has(outcome.out, "node           1 at a:1"));
  options.json = true;
  CHECK(Has(Run(options, network).out, R"({"asked":"a:1","id":1,)"));
  options.command = Command::kMembers;
  CHECK(Has(Run(options, network).out, R"({"told_by":3,"is_told_by_leader":true,)"));
  options.json = false;
  CHECK(Has(Run(options, network).out, "in flight"));
}

TEST_CASE("members are told without a leader, too") {
  FakeNetwork network;
  Lead(network, 0);
  const TimePoint begin = network.now;
  const Outcome outcome = Run(Options(Command::kMembers), network);
  CHECK(outcome.exit_code == 0);
  CHECK(Has(outcome.out, "Only the leader knows"));
  CHECK(network.now - begin < std::chrono::seconds(5));
}

TEST_CASE("an order that is carried out says so; refused is 1, unknown is 3 and says how to find out") {
  FakeNetwork network;
  Lead(network, 1);
  CliOptions options = Options(Command::kOrder, 60);
  options.order = ConfigChange().Remove(NodeId(3));
  options.done = "node 3 is no longer a member";
  Outcome outcome = Run(options, network);
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.out == "node 3 is no longer a member\n");
  CHECK(outcome.err.empty());

  const auto fail = [&network](Error error) {
    network.nodes["a:1"].on_order = [error](const Order&) { return Result<void>(error); };
  };
  fail(Error(Errc::kNotMember, "peer 3 is not a member\x1b"));
  outcome = Run(options, network);
  CHECK(outcome.exit_code == kExitFailed);
  CHECK(outcome.err == "peer 3 is not a member\\x1b");
  CHECK(outcome.out.empty());
  for (Errc code : {Errc::kUnknown, Errc::kTimedOut, Errc::kProtocol}) {
    fail(Error(code, "lost"));
    outcome = Run(options, network);
    CHECK(outcome.exit_code == kExitUnknown);
    CHECK(Has(outcome.err, "lost; whether it has been done is not known: look at 'ringraft members'"));
  }
}

TEST_CASE("a question that is not answered in time is 3, and one that cannot be put is 1") {
  FakeNetwork network;
  CHECK(Run(Options(Command::kStatus), network).exit_code == kExitFailed);
  CHECK(Run(Options(Command::kMembers), network).exit_code == kExitFailed);
  network.nodes["a:1"].status = Error(Errc::kTimedOut, "late");
  CHECK(Run(Options(Command::kStatus), network).exit_code == kExitUnknown);
  CHECK(Run(Options(Command::kMembers), network).exit_code == kExitUnknown);
  network.nodes["a:1"].greeting = Error(Errc::kTimedOut, "silent");
  CHECK(Run(Options(Command::kStatus), network).exit_code == kExitUnknown);
  CHECK(Run(Options(Command::kMembers), network).exit_code == kExitUnknown);
  CliOptions order = Options(Command::kOrder);
  order.order = ConfigChange().Remove(NodeId(3));
  CHECK(Run(order, network).exit_code == kExitFailed);  // certainly not done
}

TEST_CASE("each wait ends when its condition comes true") {
  for (Command command : {Command::kWaitLeader, Command::kWaitIndex, Command::kWaitHealthy}) {
    FakeNetwork network;
    Lead(network, 0);
    CliOptions options = Options(command, 30);
    options.index = Index(10);
    int sleeps = 0;
    network.on_sleep = [&] {
      if (++sleeps < 40) return;
      Lead(network, 1);
      network.nodes["a:1"].status.value().raft.applied_index = Index(10);
    };
    const Outcome outcome = Run(options, network);
    CAPTURE(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.out == (command == Command::kWaitLeader  ? "node 1 at a:1 leads\n"
                          : command == Command::kWaitIndex ? "node 1 has applied up to 10\n"
                                                           : "all 0 members are healthy\n"));
    CHECK(sleeps >= 40);
  }
}

TEST_CASE("a wait in vain says what is missing, and is 3") {
  FakeNetwork network;
  Lead(network, 0);
  network.nodes["a:1"].status.value().raft.applied_index = Index(9);
  CliOptions options = Options(Command::kWaitIndex, 30);
  options.index = Index(10);
  const TimePoint begin = network.now;
  Outcome outcome = Run(options, network);
  CHECK(outcome.exit_code == kExitUnknown);
  CHECK(Has(outcome.err, "condition not met after 30 s: node 1 has applied up to 9 only"));
  CHECK(network.now - begin <= std::chrono::seconds(30));
  CHECK(Has(Run(Options(Command::kWaitLeader), network).err, "node 1 does not know of a leader"));
  CHECK(Has(Run(Options(Command::kWaitHealthy), network).err, "no leader was found"));
  Lead(network, 2);
  PeerStatus silent;
  silent.peer = PeerOf(3);
  network.nodes["b:2"].status.value().raft.peers = {silent};
  CHECK(Has(Run(Options(Command::kWaitHealthy), network).err, "the leader does not reach node 3 at c:3"));
}

TEST_CASE("a wait goes on while nodes are down or busy, and ends at once for what time does not cure") {
  FakeNetwork network;
  network.on_sleep = [&] { Lead(network, 1); };
  CHECK(Run(Options(Command::kWaitLeader), network).exit_code == 0);
  for (const Addr& addr : kAll) network.nodes[addr.text()].status = Error(Errc::kBusy, "full");
  CHECK(Run(Options(Command::kWaitLeader), network).exit_code == 0);
  const TimePoint begin = network.now;
  for (auto& [addr, node] : network.nodes) node.status = Error(Errc::kWrongVersion, "version 9");
  CHECK(Run(Options(Command::kWaitLeader), network).exit_code == kExitFailed);
  CHECK(network.now == begin);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::cli
