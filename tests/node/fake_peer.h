// One real node of three; the test plays its peers: it sees what leaves the node, and sends to it.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cluster.h"
#include "support.h"

namespace ringraft::test {

using std::chrono_literals::operator""ms;

// A peer that the test plays: it records the requests, and replies as its fields say.
class FakePeer final : public RpcService {
 public:
  FakePeer(Cluster& cluster, uint64_t id)
      : peer(PeerAt(id)), rpc(*cluster.reactor, cluster.network), changed(cluster.reactor->host().loop()) {
    REQUIRE(rpc.Listen(peer.addr).has_value());
    rpc.Register(*this, [] { return Identity(); });
    REQUIRE(rpc.Serve().has_value());
  }
  ~FakePeer() override { rpc.Close(); }

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override {
    requests.push_back(args);
    if (is_deaf) co_return Errc::kUnreachable;
    ++(args.entries.empty() ? heartbeats : appends);
    AppendEntriesResults results;
    results.term = args.term;
    if (has_lost_all) co_return results;
    results.success = true;
    results.durable_match = args.entries.empty() ? args.prev_index : args.entries.back().last();
    while (!args.entries.empty() && !acknowledges) {  // a slow disk
      auto woken = changed.Wait();
      co_await woken;
    }
    co_return results;
  }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override {
    ++(args.pre_vote ? pre_votes : votes);
    RequestVoteResults results;
    results.term = args.pre_vote ? args.term - 1 : args.term;
    results.vote_granted = grants;
    co_return results;
  }
  Task<Result<ForwardResults>> Forward(ForwardArgs) override { co_return Errc::kStopped; }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override { co_return Errc::kStopped; }
  Result<void> OnHandshake(const Identity&) override { return Success(); }

  void Acknowledge() {
    acknowledges = true;
    changed.Notify();
  }

  Peer peer;
  LocalRpc rpc;
  coro::Signal changed;
  bool grants = false, acknowledges = false;
  bool has_lost_all = false;  // its disk has been replaced
  bool is_deaf = false;       // nothing reaches it
  std::vector<AppendEntriesArgs> requests;
  int heartbeats = 0, appends = 0, pre_votes = 0, votes = 0;
};

template <class R>
using Reply = std::optional<Result<R>>;

inline Detached AskAppend(FakePeer& peer, AppendEntriesArgs args, Reply<AppendEntriesResults>& reply) {
  auto call = peer.rpc.CallAppendEntries(PeerAt(1).addr, std::move(args));
  auto got = co_await call;
  reply = std::move(got);
}
inline Detached AskVote(FakePeer& peer, RequestVoteArgs args, Reply<RequestVoteResults>& reply) {
  auto call = peer.rpc.CallRequestVote(PeerAt(1).addr, args);
  auto got = co_await call;
  reply = std::move(got);
}

inline Detached AskForward(FakePeer& peer, ForwardArgs args, Reply<ForwardResults>& reply) {
  auto call = peer.rpc.CallForward(PeerAt(1).addr, std::move(args));
  auto got = co_await call;
  reply = std::move(got);
}

// Node 1 of three is real, and its disk can be held.
struct OneReal {
  std::shared_ptr<GatedStorage> disk;
  Cluster cluster;
  FakePeer two, three;

  explicit OneReal(Duration election, decltype(Setup::make_raft) make_raft = {},
                   std::shared_ptr<Storage> storage = MakeMemoryStorage())
      : disk(std::make_shared<GatedStorage>(std::move(storage))),
        cluster(1, Setup{[this, election](Options& options) {
                           options.initial_members = {PeerAt(1), PeerAt(2), PeerAt(3)};
                           options.election_timeout_min = election;
                           options.election_timeout_max = election + 50ms;
                           options.limits.cached_tail_bytes = 16 << 10;
                           WriteFirstEntry(options, *disk);
                         },
                         [this](uint64_t) { return disk; }, std::move(make_raft)}),
        two(cluster, 2),
        three(cluster, 3) {}
  ~OneReal() { disk->Open(); }

  AppendEntriesArgs From(uint64_t leader, Term term, Index prev, Term prev_term) {
    AppendEntriesArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.term = term;
    args.leader_id = NodeId(leader);
    args.prev_index = prev;
    args.prev_term = prev_term;
    args.leader_commit = Index(1);
    return args;
  }
  Result<AppendEntriesResults> Append(AppendEntriesArgs args) {
    Reply<AppendEntriesResults> reply;
    cluster.InTurn([&] { AskAppend(two, args, reply); });
    cluster.Until("an append's reply", [&] { return reply.has_value(); });
    return std::move(*reply);
  }
};

inline BatchRef BatchAt(Index index, Term term, std::string_view command) {
  LogEntry entry(index, term, LogEntryType::kCommand, command);
  return MakeBatch(std::span<const LogEntry>(&entry, 1), NodeId(2), GroupId(1));
}

// Node 1, elected by its fake peers.
struct RealLeader : OneReal {
  explicit RealLeader(decltype(Setup::make_raft) make_raft = {}, std::shared_ptr<Storage> storage = MakeMemoryStorage())
      : OneReal(100ms, std::move(make_raft), std::move(storage)) {
    two.grants = three.grants = two.acknowledges = three.acknowledges = true;
    raft = cluster.nodes[0].raft.get();
    cluster.Until("it to be the leader, with its first entry committed", [&] {
      RaftStatus status = raft->Status();
      return raft->IsLeader() && status.commit_index == status.last_index && status.durable_index == status.last_index;
    });
  }
  Raft* raft;
};

}  // namespace ringraft::test
