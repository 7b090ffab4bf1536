// Disks that fail, and nodes that restart.
#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

struct BreakingCluster {
  std::vector<std::shared_ptr<BreakingStorage>> disks;
  Cluster cluster{3, Setup{{}, [this](uint64_t) {
                             disks.push_back(std::make_shared<BreakingStorage>());
                             return disks.back();
                           }}};
  BreakingStorage& DiskOf(const Cluster::Node& node) { return *disks[node.options.id.value() - 1]; }
};

void CheckAllApplied(Cluster& cluster, const std::vector<std::string>& acknowledged) {
  for (auto& node : cluster.nodes) {
    if (node.raft->Status().is_stopped) continue;
    for (const std::string& command : acknowledged) {
      CAPTURE(command);
      CHECK(std::count(node.machine->applied.begin(), node.machine->applied.end(), command) == 1);
    }
  }
}

}  // namespace

TEST_SUITE("node/failure") {
  TEST_CASE("a leader with a failed disk stops and reports why, another leads, and nothing acknowledged is lost") {
    BreakingCluster breaking;
    Cluster& cluster = breaking.cluster;
    Cluster::Node& old_leader = cluster.WaitForLeader();
    std::vector<std::string> acknowledged;
    for (int i = 0; i < 20; ++i) {
      REQUIRE(cluster.Handle(*old_leader.raft, "a" + std::to_string(i)).has_value());
      acknowledged.push_back("a" + std::to_string(i));
    }
    std::deque<MaybeResult> results;
    std::vector<Owned> callers;
    MaybeDone done;
    Owned waiter = AwaitDone(*old_leader.raft, HandleOptions(), done);
    breaking.DiskOf(old_leader).commits_left = 2;
    // Until it breaks: several calls may share a commit.
    while (!done && results.size() < 10000) {
      std::string command = "b" + std::to_string(results.size());
      callers.push_back(CallOne(*old_leader.raft, command, HandleOptions(), results.emplace_back()));
      cluster.Turns(2);
    }
    cluster.Until("all calls and the stop", [&] {
      for (MaybeResult& result : results)
        if (!result) return false;
      return done.has_value();
    });
    REQUIRE(!done->has_value());
    CHECK(done->error() == Errc::kIo);
    CHECK(done->error().message() == "the disk is broken");
    RaftStatus status = old_leader.raft->Status();
    CHECK(status.is_stopped);
    CHECK(status.stop_reason == Errc::kIo);
    CHECK(!old_leader.raft->IsLeader());
    for (size_t i = 0; i < results.size(); ++i) {
      Errc code = CodeOf(results[i]);
      CHECK((code == Errc::kOk || code == Errc::kUnknown || code == Errc::kStopped || code == Errc::kNotLeader));
      if (code == Errc::kOk) acknowledged.push_back("b" + std::to_string(i));
    }
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "after").has_value());
    acknowledged.push_back("after");
    cluster.Until("the followers", [&] {
      for (auto& node : cluster.nodes)
        if (&node != &old_leader && node.machine->last < leader.machine->last) return false;
      return true;
    });
    CheckAllApplied(cluster, acknowledged);
    for (size_t i = 0; i < results.size(); ++i)
      if (CodeOf(results[i]) == Errc::kStopped || CodeOf(results[i]) == Errc::kNotLeader)
        CHECK(std::count(leader.machine->applied.begin(), leader.machine->applied.end(), "b" + std::to_string(i)) == 0);
  }

  TEST_CASE("A1, A2: a node that cannot write its vote sends none and stops") {
    BreakingCluster breaking;
    Cluster& cluster = breaking.cluster;
    Cluster::Node& old_leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*old_leader.raft, "a").has_value());
    for (auto& node : cluster.nodes) {
      if (&node == &old_leader) continue;
      breaking.DiskOf(node).only_votes = true;
      breaking.DiskOf(node).commits_left = 0;
    }
    cluster.network.Cut(old_leader.options.addr);
    // The first to campaign cannot write its vote for itself. The other one alone cannot win a pre-vote.
    cluster.Until("the candidate to stop", [&] {
      int stopped = 0;
      for (auto& node : cluster.nodes) {
        CHECK((&node == &old_leader || !node.raft->IsLeader()));
        stopped += node.raft->Status().is_stopped ? 1 : 0;
      }
      return stopped > 0;
    });
    for (auto& node : cluster.nodes)
      if (node.raft->Status().is_stopped) CHECK(node.raft->Status().stop_reason == Errc::kIo);
  }

  TEST_CASE("a voter that cannot write its vote does not reply") {
    auto disk = std::make_shared<BreakingStorage>();
    Cluster cluster(1, Setup{[&](Options& options) {
                               options.initial_members = {PeerAt(1), PeerAt(2), PeerAt(3)};
                               WriteFirstEntry(options, *disk);
                             },
                             [&](uint64_t) { return disk; }});
    disk->commits_left = 0;
    LocalRpc candidate(*cluster.reactor, cluster.network);
    std::optional<Result<RequestVoteResults>> reply;
    struct Asker {
      static Detached Ask(LocalRpc& rpc, RequestVoteArgs args, std::optional<Result<RequestVoteResults>>& reply) {
        auto call = rpc.CallRequestVote(PeerAt(1).addr, args);
        auto got = co_await call;
        reply = std::move(got);
      }
    };
    struct Silent final : RpcService {
      Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs) override { co_return Errc::kStopped; }
      Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs) override { co_return Errc::kStopped; }
      Task<Result<ForwardResults>> Forward(ForwardArgs) override { co_return Errc::kStopped; }
      Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override { co_return Errc::kStopped; }
      Result<void> OnHandshake(const Identity&) override { return Success(); }
    } service;
    REQUIRE(candidate.Listen(PeerAt(2).addr).has_value());
    candidate.Register(service, [] { return Identity(); });
    RequestVoteArgs args;
    args.group = GroupId(1);
    args.to = NodeId(1);
    args.term = Term(50);
    args.candidate_id = NodeId(2);
    args.last_index = Index(1);
    args.last_term = Term(1);
    cluster.Turns(2);
    cluster.InTurn([&] { Asker::Ask(candidate, args, reply); });
    cluster.Until("the end", [&] { return reply.has_value() && cluster.nodes[0].raft->Status().is_stopped; });
    CHECK(!reply->has_value());  // silence, never a vote
    CHECK(cluster.nodes[0].raft->Status().stop_reason == Errc::kIo);
    candidate.Close();
  }

  TEST_CASE("a restart on the same storage replays the same state and continues") {
    Cluster cluster(3);
    for (int round = 0; round < 3; ++round) {
      Cluster::Node& leader = cluster.WaitForLeader();
      for (int i = 0; i < 10; ++i) REQUIRE(cluster.Handle(*leader.raft, std::to_string(round * 10 + i)).has_value());
      std::vector<std::string> expected = leader.machine->applied;
      for (auto& node : cluster.nodes) node.raft.reset();
      for (auto& node : cluster.nodes) cluster.Restart(node);
      cluster.Until("the replay", [&] {
        for (auto& node : cluster.nodes)
          if (node.machine->applied.size() < expected.size()) return false;
        return true;
      });
      for (auto& node : cluster.nodes) CHECK(node.machine->applied == expected);
    }
  }
}
