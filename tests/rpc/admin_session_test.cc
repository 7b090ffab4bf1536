// An operator's tool at the peer port of a node: admission, the calls, and that peers are not affected.
// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/rpc-twoparty.h>
#include <doctest/doctest.h>
#include <peer.capnp.h>

#include "harness.h"
#include "rpc/admin_codec.h"
#include "rpc/codec.h"

namespace ringraft::rpc_test {
namespace {

TEST_SUITE_BEGIN("rpc admin session");

// Replies when the test releases it.
class FakeAdmin final : public AdminService {
 public:
  explicit FakeAdmin(World& world) : changed(world.loop()) {}

  Result<AdminStatus> Status() override { return status; }
  Task<Result<void>> ChangeConfig(ConfigChange change, Duration timeout) override {
    changes.push_back(std::move(change));
    timeouts.push_back(timeout);
    while (is_held) {
      auto woken = changed.Wait();
      co_await woken;
    }
    ++finished;
    co_return answer;
  }
  Task<Result<void>> AbortConfigChange() override {
    ++aborts;
    co_return answer;
  }
  Task<Result<void>> TransferLeadership(NodeId to, Duration timeout) override {
    transfers.push_back(to);
    timeouts.push_back(timeout);
    co_return answer;
  }

  coro::Signal changed;
  bool is_held = false;
  Result<AdminStatus> status = AdminStatus();
  Result<void> answer = Success();
  std::vector<ConfigChange> changes;
  std::vector<NodeId> transfers;
  std::vector<Duration> timeouts;
  int aborts = 0;
  int finished = 0;
};

Task<void> ConnectTo(World& world, Addr addr, kj::Own<kj::AsyncIoStream>& stream) {
  auto connecting = world.reactor().host().network().Connect(addr, std::chrono::seconds(5));
  Result<reactor::KjStream> connected = co_await connecting;
  if (connected) stream = connected.value().Take();
}

// The tool's end of the connection.
class Tool {
 public:
  Tool(World& world, const Node& node) : world_(world) {
    world.scope().Start(ConnectTo(world, node.addr(), stream_));
    world.RunUntil([this]() { return stream_.get() != nullptr; });
    client_.emplace(*stream_);
  }
  ~Tool() noexcept {}

  // The response; nothing if the call ended with an exception.
  template <class Response>
  kj::Maybe<Response> Await(kj::Promise<Response> promise) {
    kj::Maybe<Response> response;
    bool is_done = false;
    auto waiting = promise.then([&](Response&& got) { response = kj::mv(got), is_done = true; })
                       .eagerlyEvaluate([&](kj::Exception&&) { is_done = true; });
    world_.RunUntil([&]() { return is_done; });
    return response;
  }

  Result<void> Greet(const rpc::AdminHello& hello) {
    auto request = client_->bootstrap().castAs<schema::Door>().adminRequest();
    rpc::Encode(hello, request.initHello());
    using Response = capnp::Response<schema::Door::AdminResults>;
    KJ_IF_MAYBE (response, Await<Response>(request.send())) {
      CHECK(response->getWelcome().getVersion() == kProtocolVersion);
      Result<void> outcome = rpc::Decode(response->getWelcome().getOutcome());
      CHECK(outcome.has_value() == response->getWelcome().hasAdmin());
      if (outcome) admin = response->getWelcome().getAdmin();
      return outcome;
    }
    return Errc::kUnreachable;
  }
  void Enter() { REQUIRE(Greet(rpc::AdminHello{kProtocolVersion, std::nullopt})); }

  template <class Results>
  Result<void> Outcome(capnp::RemotePromise<Results> call) {
    using Response = capnp::Response<Results>;
    KJ_IF_MAYBE (response, Await<Response>(kj::mv(call))) return rpc::Decode(response->getOutcome());
    return Errc::kUnreachable;
  }
  auto ChangeRequest(const ConfigChange& change, int64_t timeout_ns) {
    auto request = admin.changeConfigRequest();
    rpc::Encode(change, request.initChange());
    request.setTimeoutNs(timeout_ns);
    return request;
  }
  Result<void> Change(const ConfigChange& change) { return Outcome(ChangeRequest(change, 1'000'000'000).send()); }

  schema::Admin::Client admin = nullptr;

 private:
  World& world_;
  kj::Own<kj::AsyncIoStream> stream_;
  std::optional<capnp::TwoPartyClient> client_;
};

// A node that accepts operators' calls.
struct Served {
  explicit Served(RpcOptions options = {}) : admin(world), node(world, 2, ClusterId{1, 2}, options) {
    node.service.admin = &admin;
  }
  World world;
  FakeAdmin admin;
  Node node;
};

TEST_CASE("an operator does not have to be a node, and each of the four calls reaches the service") {
  Served s;
  Tool tool(s.world, s.node);
  tool.Enter();
  CHECK(s.node.service.handshakes.empty());

  s.admin.status.value().raft.id = NodeId(2);
  s.admin.status.value().raft.term = Term(17);
  using Response = capnp::Response<schema::Admin::StatusResults>;
  KJ_IF_MAYBE (response, tool.Await<Response>(tool.admin.statusRequest().send())) {
    CHECK(rpc::Decode(response->getOutcome()));
    CHECK(rpc::Decode(response->getStatus()).value().raft.term == Term(17));
  } else {
    FAIL("no status");
  }

  CHECK(tool.Change(ConfigChange().Promote(NodeId(4)).BasedOn(Index(9))));
  REQUIRE(s.admin.changes.size() == 1);
  CHECK(s.admin.changes[0].steps()[0].kind == ConfigChange::StepKind::kPromote);
  CHECK(s.admin.changes[0].based_on() == Index(9));
  CHECK(tool.Outcome(tool.admin.abortConfigChangeRequest().send()));
  CHECK(s.admin.aborts == 1);
  auto transfer = tool.admin.transferLeadershipRequest();
  transfer.setTo(3);
  transfer.setTimeoutNs(INT64_MAX);
  CHECK(tool.Outcome(transfer.send()));
  REQUIRE(s.admin.transfers.size() == 1);
  CHECK(s.admin.transfers[0] == NodeId(3));
  CHECK(s.admin.timeouts == std::vector<Duration>{std::chrono::seconds(1), std::chrono::hours(24)});
}

TEST_CASE("an error reaches an operator with its text, which peers do not get") {
  Served s;
  Tool tool(s.world, s.node);
  tool.Enter();
  s.admin.answer = Error(Errc::kConfigInProgress, "index 17 is not committed");
  const auto refused = tool.Change(ConfigChange().Remove(NodeId(1)));
  CHECK(refused.error() == Errc::kConfigInProgress);
  CHECK(refused.error().message() == "index 17 is not committed");
  s.admin.answer = Error::NotLeader(Peer(NodeId(3), Addr("c:3")));
  CHECK(tool.Outcome(tool.admin.abortConfigChangeRequest().send()).error().leader() == Peer(NodeId(3), Addr("c:3")));
  s.admin.status = Error(Errc::kStopped, "node 2 is stopping");
  CHECK(tool.Outcome(tool.admin.statusRequest().send()).error() == Errc::kStopped);
}

TEST_CASE("another version or another group is refused by name") {
  Served s;
  for (int round = 0; round < 2; ++round) {
    Tool tool(s.world, s.node);
    const auto version = tool.Greet(rpc::AdminHello{99, std::nullopt});
    CHECK(version.error() == Errc::kWrongVersion);
    CHECK(version.error().message().find("speaks version 99 of the protocol, this node version 1") !=
          std::string::npos);
    const auto group = tool.Greet(rpc::AdminHello{kProtocolVersion, GroupId(8)});
    CHECK(group.error() == Errc::kInvalidArgument);
    CHECK(group.error().message() == "this is group 7");
    CHECK(tool.Greet(rpc::AdminHello{kProtocolVersion, GroupId(7)}));
  }
  CHECK(s.node.logger.Count("refused the operator at 127.0.0.1") >= 1);
}

TEST_CASE("a service without operators' calls refuses operators") {
  World world;
  Node node(world, 2);
  Tool tool(world, node);
  CHECK(tool.Greet(rpc::AdminHello{kProtocolVersion, std::nullopt}).error() == Errc::kUnsupported);
}

TEST_CASE("a connection serves either an operator or a peer") {
  Served s;
  Tool tool(s.world, s.node);
  tool.Enter();
  CHECK(tool.Greet(rpc::AdminHello{kProtocolVersion, std::nullopt}).error() == Errc::kProtocol);
  CHECK(tool.Change(ConfigChange().Remove(NodeId(1))));
}

TEST_CASE("a change of an unknown kind does not reach the service, and the connection survives") {
  Served s;
  Tool tool(s.world, s.node);
  tool.Enter();
  auto request = tool.admin.changeConfigRequest();
  request.initChange().initSteps(1)[0].setKind(static_cast<schema::StepKind>(500));
  CHECK(tool.Outcome(request.send()).error() == Errc::kUnsupported);
  CHECK(s.admin.changes.empty());
  CHECK(tool.Change(ConfigChange().Remove(NodeId(1))));
}

TEST_CASE("an operator's connection stays open, with a lower limit of unfinished calls") {
  RpcOptions options;
  options.idle_handshake = std::chrono::milliseconds(50);
  Served s(options);
  Node peer(s.world, 1);
  Tool tool(s.world, s.node);
  tool.Enter();
  s.world.RunFor(std::chrono::milliseconds(150));
  CHECK(tool.Change(ConfigChange().Remove(NodeId(1))));

  s.admin.is_held = true;
  std::vector<capnp::RemotePromise<schema::Admin::ChangeConfigResults>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(tool.ChangeRequest(ConfigChange().Remove(NodeId(1)), 1).send());
  s.world.RunUntil([&]() { return s.node.logger.Count("more unfinished calls than max_calls_per_connection") == 1; });
  CHECK(s.admin.changes.size() <= 17);
  CHECK(Finish(s.world, peer.rpc->CallAppendEntries(s.node.addr(), AppendTo(peer, s.node))));
}

TEST_CASE("an operator's call continues after the operator disconnects, and ends with the node") {
  for (bool by_node : {false, true}) {
    Served s;
    {
      Tool tool(s.world, s.node);
      tool.Enter();
      s.admin.is_held = true;
      auto order = tool.ChangeRequest(ConfigChange().Remove(NodeId(1)), 1).send();
      s.world.RunUntil([&]() { return s.admin.changes.size() == 1; });
      if (by_node) s.node.rpc.reset();
    }
    s.admin.is_held = false;
    s.admin.changed.Notify();
    if (by_node) {
      s.world.RunFor(std::chrono::milliseconds(20));
      CHECK(s.admin.finished == 0);
    } else {
      s.world.RunUntil([&]() { return s.admin.finished == 1; });
    }
  }
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
