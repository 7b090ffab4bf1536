// Identities in the handshake: every mismatch is refused by name, on both sides, and logged once.
#include <doctest/doctest.h>

#include "harness.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc handshake");

RpcOptions QuickRetry() {
  RpcOptions options;
  options.retry_delay = std::chrono::milliseconds(0);
  return options;
}

TEST_CASE("C13: a peer of another cluster is refused, naming both clusters, and logged once") {
  World world;
  Node a(world, 1, ClusterId{0, 0xaaaa}, QuickRetry()), b(world, 2, ClusterId{0, 0xbbbb});
  for (int i = 0; i < 3; ++i) {
    auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b)));
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::kWrongCluster);
    const std::string message = result.error().message();
    CHECK(message.find(ToString(ClusterId{0, 0xaaaa})) != std::string::npos);
    CHECK(message.find(ToString(ClusterId{0, 0xbbbb})) != std::string::npos);
    CHECK(message.find(b.addr().text()) != std::string::npos);
  }
  CHECK(a.logger.lines.size() == 1);
  CHECK(b.logger.lines.size() == 1);
  CHECK(b.service.handshakes.empty());
  CHECK(b.service.appends.empty());
}

TEST_CASE("an address that leads to another node is refused, naming both nodes") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, QuickRetry()), b(world, 2);
  AppendEntriesArgs args = AppendTo(a, b);
  args.to = NodeId(33);
  for (int i = 0; i < 3; ++i) {
    auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), args));
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::kWrongNode);
    CHECK(result.error().message().find("is node 2, not node 33") != std::string::npos);
    CHECK(result.error().message().find(b.addr().text()) != std::string::npos);
  }
  CHECK(a.logger.lines.size() == 1);
  CHECK(b.logger.Count("wants to reach node 33, but this is node 2") == 1);
}

TEST_CASE("the node at an address may change, and is reached under its new id") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, QuickRetry()), b(world, 2);
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))));
  b.identity.node = NodeId(5);
  AppendEntriesArgs args = AppendTo(a, b);
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), args)));
  args.to = NodeId(2);  // over the old connection
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), args)).error() == Errc::kWrongNode);
}

TEST_CASE("a fresh node learns its cluster from the first peer") {
  World world;
  Node a(world, 1, ClusterId{7, 8}), b(world, 2, ClusterId{});
  REQUIRE(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))));
  REQUIRE(b.service.handshakes.size() == 1);
  CHECK(b.service.handshakes[0].cluster == ClusterId{7, 8});
}

TEST_CASE("C13: a node without a cluster is refused by one that has a cluster") {
  World world;
  Node a(world, 1, ClusterId{}), b(world, 2, ClusterId{7, 8});
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))).error() == Errc::kWrongCluster);
  CHECK(b.service.appends.empty());
}

TEST_CASE("the service can refuse a peer, on either side") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, QuickRetry()), b(world, 2);
  b.service.handshake_answer = Error(Errc::kWrongNode, "another incarnation");
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))).error() == Errc::kWrongNode);
  b.service.handshake_answer = Error();
  a.service.handshake_answer = Error(Errc::kWrongNode, "another incarnation");
  auto result = Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b)));
  CHECK(result.error() == Errc::kWrongNode);
  CHECK(result.error().message() == "another incarnation");
  CHECK(b.service.appends.empty());
  a.service.handshake_answer = Error();
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b))));
}

TEST_CASE("a connection cannot send requests in the name of another node") {
  World world;
  Node a(world, 1), b(world, 2);
  AppendEntriesArgs append = AppendTo(a, b, {MakeTestBatch(1, 5, 10)});
  append.leader_id = NodeId(3);
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), append)).error() == Errc::kProtocol);
  RequestVoteArgs vote;
  vote.to = b.id();
  vote.candidate_id = NodeId(3);
  CHECK(Finish(world, a.rpc->CallRequestVote(b.addr(), vote)).error() == Errc::kProtocol);
  CHECK(b.service.appends.empty());
  CHECK(b.service.votes.empty());
}

TEST_CASE("a cluster id is written as 32 hexadecimal digits") {
  CHECK(ToString(ClusterId{0, 0}) == "00000000000000000000000000000000");
  CHECK(ToString(ClusterId{0x0123456789abcdef, 0xfedcba9876543210}) == "0123456789abcdeffedcba9876543210");
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
