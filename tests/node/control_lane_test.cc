// What the node sets in the transport that it makes by default.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cluster.h"
#include "ringraft/reactor.h"
#include "support.h"

namespace ringraft::test {
namespace {

using std::chrono_literals::operator""ms;

// A port that was free a moment before.
Addr FreeAddr() {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  ::close(fd);
  return Addr("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
}

// A voter whose replies never come.
class SilentVoter final : public RpcService {
 public:
  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs) override { co_return Errc::kUnreachable; }
  Task<Result<ForwardResults>> Forward(ForwardArgs) override { co_return Errc::kStopped; }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override { co_return Errc::kStopped; }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs) override {
    for (;;) {
      auto later = reactor->Sleep(std::chrono::hours(1));
      co_await later;
    }
  }
  Result<void> OnHandshake(const Identity&) override {
    ++handshakes;
    return Success();
  }

  Reactor* reactor = nullptr;
  int handshakes = 0;
};

}  // namespace

TEST_CASE("J5: the longest election timeout is how long a node trusts a silent connection for votes") {
  auto reactor = std::move(Reactor::Create().value());
  SilentVoter voter;
  voter.reactor = reactor.get();
  auto transport = MakeCapnpRpc(*reactor);
  const Addr at = FreeAddr();
  REQUIRE(transport->Listen(at));
  transport->Register(voter, [] {
    Identity identity;
    identity.node = NodeId(2);
    return identity;
  });
  REQUIRE(transport->Serve());

  Options options;
  options.id = NodeId(1);
  options.addr = FreeAddr();
  options.initial_members = {Peer(options.id, options.addr), Peer(NodeId(2), at)};
  options.election_timeout_min = 10ms;
  options.election_timeout_max = 20ms;
  options.heartbeat_interval = 5ms;
  options.rpc.call_timeout = std::chrono::hours(1);
  options.logger = options.rpc.logger = &SilentLogger();
  options.storage = MakeMemoryStorage();
  WriteFirstEntry(options, *options.storage);
  ListMachine machine;
  auto raft = Raft::Create(options, machine);
  REQUIRE(raft);
  REQUIRE(raft.value()->Run(*reactor));
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (voter.handshakes < 3 && Clock::now() < deadline) reactor->RunOnce(5ms);
  CHECK(voter.handshakes >= 3);
  raft.value().reset();
  transport->Close();
}

}  // namespace ringraft::test
