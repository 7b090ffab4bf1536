// Who is asked, and where an order goes.
#include "cli/follow.h"

#include <doctest/doctest.h>

#include "fake_network.h"

namespace ringraft::cli {
namespace {

TEST_SUITE_BEGIN("cli follow");

using Asked = std::vector<std::string>;
const Order kOrder = ConfigChange().Remove(NodeId(3));

TimePoint In(FakeNetwork& network, int seconds) { return network.now + std::chrono::seconds(seconds); }

TEST_CASE("the first node that answers is asked, and each has its share of the time") {
  FakeNetwork network;
  Lead(network, 1);
  network.nodes["a:1"].is_up = false;
  network.connect_time = std::chrono::seconds(2);
  const TimePoint begin = network.now;
  const auto answered = AskAny(network, kAll, In(network, 6));
  REQUIRE(answered);
  CHECK(answered.value().addr == Addr("b:2"));
  CHECK(answered.value().status.raft.id == NodeId(2));
  CHECK(network.asked == Asked{"a:1", "b:2"});
  CHECK(network.deadlines[0] == begin + std::chrono::seconds(2));
  CHECK(network.deadlines[1] == begin + std::chrono::seconds(4));
}

TEST_CASE("if no node responds, each is named") {
  FakeNetwork network;
  const auto one = AskAny(network, {Addr("a:1")}, In(network, 5));
  CHECK(one.error() == Errc::kUnreachable);
  CHECK(one.error().message() == "a:1: no connection");
  network.nodes["b:2"].status = Error(Errc::kTimedOut, "b:2: late");
  const auto all = AskAny(network, kAll, In(network, 5));
  CHECK(all.error() == Errc::kTimedOut);
  CHECK(all.error().message() == "none of the 3 nodes answers: a:1: no connection; b:2: late; c:3: no connection");
  CHECK(Send(network, {Addr("a:1"), Addr("c:3")}, kOrder, In(network, 60)).error() == Errc::kUnreachable);
  CHECK(network.now == TimePoint(std::chrono::hours(1)));  // at once
}

TEST_CASE("an order follows to the leader, also to one that the operator has not named") {
  FakeNetwork network;
  Lead(network, 3);
  CHECK(Send(network, {Addr("a:1")}, kOrder, In(network, 60)));
  CHECK(network.asked == Asked{"a:1", "c:3"});
  CHECK(network.nodes["c:3"].orders == 1);
  const auto answered = AskLeader(network, {Addr("b:2")}, In(network, 5));
  REQUIRE(answered);
  CHECK(answered.value().addr == Addr("c:3"));
}

TEST_CASE("an order waits for an election") {
  FakeNetwork network;
  Lead(network, 0);
  int sleeps = 0;
  network.on_sleep = [&] {
    if (++sleeps == 5) Lead(network, 2);
  };
  CHECK(Send(network, kAll, kOrder, In(network, 60)));
  CHECK(sleeps == 5);
  CHECK(network.nodes["b:2"].orders > 1);
}

TEST_CASE("a leader that has just died is not waited for in vain") {
  FakeNetwork network;
  Lead(network, 1);
  network.nodes["a:1"].is_up = false;
  network.on_sleep = [&] { Lead(network, 2); };
  CHECK(Send(network, {Addr("b:2")}, kOrder, In(network, 60)));
  CHECK(network.asked == Asked{"b:2", "a:1", "b:2"});
}

TEST_CASE(
    "the search for a leader goes on up to the deadline, and ends with it, also between two that name each other") {
  FakeNetwork network;
  Lead(network, 0);
  const TimePoint deadline = In(network, 60);
  network.on_sleep = [&] {
    if (network.now > deadline - std::chrono::seconds(1)) Lead(network, 2);
  };
  CHECK(Send(network, kAll, kOrder, deadline));  // an election that took 59 s

  network.on_sleep = nullptr;
  Lead(network, 0);
  TimePoint begin = network.now;
  const auto nobody = Send(network, kAll, kOrder, In(network, 60));
  CHECK(nobody.error() == Errc::kNoLeader);
  CHECK(nobody.error().message().find("a majority of the voters has to run") != std::string::npos);
  CHECK(network.now - begin == std::chrono::seconds(60));

  network.nodes["a:1"].on_order = [](const Order&) { return Result<void>(Error::NotLeader(PeerOf(2))); };
  network.nodes["b:2"].on_order = [](const Order&) { return Result<void>(Error::NotLeader(PeerOf(1))); };
  network.asked.clear();
  begin = network.now;
  CHECK(Send(network, kAll, kOrder, begin + std::chrono::milliseconds(1100)).error() == Errc::kNoLeader);
  CHECK(network.now - begin == std::chrono::milliseconds(1100));
  CHECK(network.asked.size() < 10);  // it has waited in between
}

TEST_CASE("an order that may have begun is not sent again, and a refusal is the answer") {
  for (Errc code : {Errc::kUnknown, Errc::kTimedOut, Errc::kProtocol, Errc::kBusy, Errc::kAlreadyMember}) {
    FakeNetwork network;
    Lead(network, 1);
    network.nodes["a:1"].on_order = [code](const Order&) { return Result<void>(Error(code)); };
    CHECK(Send(network, kAll, kOrder, In(network, 60)).error() == code);
    CHECK(network.asked == Asked{"a:1"});
  }
}

TEST_CASE("a node that stops, or says nothing to a question, is passed over") {
  FakeNetwork network;
  Lead(network, 2);
  network.nodes["a:1"].on_order = [](const Order&) { return Result<void>(Error(Errc::kStopped)); };
  CHECK(Send(network, kAll, kOrder, In(network, 60)));
  CHECK(network.asked == Asked{"a:1", "b:2"});
  network.nodes["a:1"].status = Error(Errc::kTimedOut);
  CHECK(AskLeader(network, kAll, In(network, 5)).value().addr == Addr("b:2"));
}

TEST_CASE("a node that does not let the tool in in time has no order, and is passed over") {
  FakeNetwork network;
  Lead(network, 2);
  network.nodes["a:1"].greeting = Error(Errc::kTimedOut, "a:1: silent");
  CHECK(Send(network, kAll, kOrder, In(network, 60)));
  CHECK(network.asked == Asked{"a:1", "b:2"});
  // Nothing has been done, so the outcome is known; a request has no response in time.
  CHECK(Send(network, {Addr("a:1")}, kOrder, In(network, 60)).error() == Errc::kUnreachable);
  CHECK(AskLeader(network, {Addr("a:1")}, In(network, 5)).error() == Errc::kTimedOut);
  CHECK(AskAny(network, {Addr("a:1")}, In(network, 5)).error() == Errc::kTimedOut);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::cli
