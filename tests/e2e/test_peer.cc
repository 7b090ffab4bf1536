// A peer for tests: takes a member's place towards one running node whose flushes are slow, campaigns, leads,
// and checks what leaves the node before its disk has it. Ends with 0 if every rule held, and prints the figures.
//
//   test_peer SELF TARGET DELAY_MS ID=ADDR ...     (the members; SELF and TARGET are ids of theirs)
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/configuration.h"
#include "node/identity.h"
#include "reactor/host.h"
#include "ringraft/options.h"
#include "ringraft/reactor.h"
#include "ringraft/rpc.h"

using namespace ringraft;
using namespace std::chrono_literals;

namespace {

constexpr int kAppends = 20;
constexpr int kHeartbeatsWhileWaiting = 5;  // answered while an append waits for its flush, which takes ten intervals
constexpr Duration kHeartbeatInterval = 5ms;

[[noreturn]] void Fail(const std::string& what) {
  fmt::print("FAILED: {}\n", what);
  std::fflush(stdout);
  std::_Exit(1);
}

void Require(bool condition, const std::string& what) {
  if (!condition) Fail(what);
}

// Refuses everything: no other node is to win an election.
class Refusing final : public RpcService {
 public:
  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs) override { co_return Errc::kStopped; }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs) override { co_return Errc::kStopped; }
  Task<Result<ForwardResults>> Forward(ForwardArgs) override { co_return Errc::kStopped; }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override { co_return Errc::kStopped; }
  Result<void> OnHandshake(const Identity&) override { return Success(); }
};

struct Probe {
  Reactor& reactor;
  Rpc& rpc;
  Peer target;
  NodeId self;
  Duration delay;
  Term term;
  Index durable;  // what the target has acknowledged as durable
  Index sent;
  int heartbeats_answered = 0;
  bool is_done = false;
};

double Milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

Task<void> WinVote(Probe& p) {
  for (uint64_t term = 100; !p.term; ++term) {
    Require(term < 600, "the node never gave its vote");
    RequestVoteArgs args;
    args.group = GroupId(1);
    args.to = p.target.id;
    args.term = Term(term);
    args.candidate_id = p.self;
    args.last_index = Index(1'000'000);  // more than the node has
    args.last_term = Term(99);
    TimePoint asked = Clock::now();
    auto call = p.rpc.CallRequestVote(p.target.addr, args);
    auto reply = co_await call;
    Duration took = Clock::now() - asked;
    if (reply && reply.value().vote_granted) {
      fmt::print("vote after {:.1f} ms\n", Milliseconds(took));
      Require(took >= p.delay, "the vote came before its flush");
      p.term = Term(term);
    } else {
      auto pause = p.reactor.Sleep(20ms);
      co_await pause;
    }
  }
}

AppendEntriesArgs MakeArgs(const Probe& p, Index prev) {
  AppendEntriesArgs args;
  args.group = GroupId(1);
  args.to = p.target.id;
  args.term = p.term;
  args.leader_id = p.self;
  args.prev_index = prev;
  args.prev_term = prev == Index(1) ? Term(1) : p.term;
  return args;
}

Task<void> Heartbeats(Probe& p) {
  while (!p.is_done) {
    Index prev = p.durable;
    auto call = p.rpc.CallAppendEntries(p.target.addr, MakeArgs(p, prev));
    auto reply = co_await call;
    Require(reply.has_value(), "a heartbeat was not answered");
    Require(reply.value().success, "a heartbeat was refused");
    Require(reply.value().durable_match <= p.durable,
            fmt::format("a heartbeat's reply names {} while only {} is known to be durable",
                        reply.value().durable_match.value(), p.durable.value()));
    ++p.heartbeats_answered;
    auto pause = p.reactor.Sleep(kHeartbeatInterval);
    co_await pause;
  }
}

Task<void> Lead(Probe& p) {
  auto winning = WinVote(p);
  co_await winning;
  p.durable = p.sent = Index(1);
  p.reactor.Spawn(Heartbeats(p));
  double shortest = 1e9;
  int fewest = INT32_MAX;
  for (int i = 0; i < kAppends; ++i) {
    BatchBuilder builder;
    builder.Add(LogEntryType::kNoop, "");
    AppendEntriesArgs args = MakeArgs(p, p.sent);
    p.sent = p.sent + 1;
    args.entries.push_back(builder.Seal(p.sent, p.term, p.self, GroupId(1), 0));
    int answered = p.heartbeats_answered;
    TimePoint begun = Clock::now();
    auto call = p.rpc.CallAppendEntries(p.target.addr, std::move(args));
    auto reply = co_await call;
    Duration took = Clock::now() - begun;
    Require(reply && reply.value().success, "an append was refused");
    Require(reply.value().durable_match == p.sent, "an append's reply does not name the append");
    Require(took >= p.delay,
            fmt::format("an append's reply came after {:.1f} ms, before its flush", Milliseconds(took)));
    answered = p.heartbeats_answered - answered;
    Require(answered >= kHeartbeatsWhileWaiting,
            fmt::format("only {} heartbeats were answered while an append waited for its flush", answered));
    shortest = std::min(shortest, Milliseconds(took));
    fewest = std::min(fewest, answered);
    p.durable = p.sent;
  }
  fmt::print("{} appends: the quickest reply after {:.1f} ms; at least {} heartbeats answered during each\n", kAppends,
             shortest, fewest);
  p.is_done = true;
  p.reactor.Stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) Fail("usage: test_peer SELF TARGET DELAY_MS ID=ADDR ...");
  Options options;
  options.id = NodeId(std::strtoull(argv[1], nullptr, 10));
  std::optional<Peer> target;
  for (int i = 4; i < argc; ++i) {
    auto peer = ParsePeer(argv[i]);
    if (!peer) Fail(peer.error().message());
    options.initial_members.push_back(peer.value());
    if (peer.value().id == options.id) options.addr = peer.value().addr;
    if (peer.value().id == NodeId(std::strtoull(argv[2], nullptr, 10))) target = peer.value();
  }
  if (!target) Fail("TARGET is none of the members");

  auto reactor = Reactor::Create();
  if (!reactor) Fail(reactor.error().message());
  Identity identity;
  identity.cluster = node::NamedCluster(options);
  identity.node = options.id;
  identity.incarnation = 1;
  identity.start_count = 1;
  Refusing service;
  auto rpc = MakeCapnpRpc(*reactor.value());
  if (auto listening = rpc->Listen(options.addr); !listening) Fail(listening.error().message());
  Probe p{*reactor.value(), *rpc,    *target, options.id, std::chrono::milliseconds(std::atoi(argv[3])),
          Term(),           Index(), Index()};
  reactor.value()->Post([&] {
    rpc->Register(service, [identity] { return identity; });
    if (auto serving = rpc->Serve(); !serving) Fail(serving.error().message());
  });
  reactor.value()->Spawn(Lead(p));
  reactor.value()->Run();
  std::fflush(stdout);
  std::_Exit(0);  // the reactor still holds coroutines that use what stands above
}
