// Clusters: growing and shrinking, forwarding, catching up, and the real transport and storage.
#include "cluster.h"

#include <unistd.h>

#include <filesystem>

#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

Result<void> ChangeOn(Cluster& cluster, Raft& raft, std::vector<Peer> added, std::vector<NodeId> removed) {
  MaybeDone result;
  Owned caller = Change(raft, std::move(added), std::move(removed), result);
  cluster.Until("a configuration change", [&] { return result.has_value(); });
  return std::move(*result);
}

size_t CountOf(const std::vector<std::string>& commands, const std::string& command) {
  return static_cast<size_t>(std::count(commands.begin(), commands.end(), command));
}

std::vector<uint64_t> Ids(const RaftStatus& status) {
  std::vector<uint64_t> ids;
  for (const PeerStatus& peer : status.peers) ids.push_back(peer.peer.id.value());
  return ids;
}

Owned Forwarding(Raft& raft, std::string prefix, int calls, std::vector<std::string>& acknowledged,
                 std::vector<std::string>& unknown, int& ended) {
  for (int i = 0; i < calls; ++i) {
    std::string command = prefix + std::to_string(i);
    Result<Bytes> result = co_await raft.Handle(command, HandleOptions().Forward().Timeout(20s));
    if (result) {
      acknowledged.push_back(command);
    } else if (result.error() == Errc::kUnknown) {
      unknown.push_back(command);
    }
  }
  ++ended;
}

// A directory of its own, removed at the end.
struct TemporaryDirectory {
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringraft-node-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

}  // namespace

TEST_SUITE("node/membership") {
  TEST_CASE("a cluster grows from one node to three and loses its first leader, while writes continue") {
    Cluster cluster(0, Setup{[](Options& options) { options.bootstrap_as_leader = options.id == NodeId(1); }, {}});
    Cluster::Node& first = cluster.Add(1, {});
    cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*first.raft, "alone").has_value());
    cluster.Add(2, {});
    cluster.Add(3, {});
    CHECK(!cluster.At(2).raft->Status().leader.has_value());
    Result<void> grown = ChangeOn(cluster, *first.raft, {PeerAt(2)}, {});
    REQUIRE_MESSAGE(grown.has_value(), grown.error().message());
    REQUIRE(cluster.Handle(*first.raft, "two").has_value());
    grown = ChangeOn(cluster, *first.raft, {PeerAt(3)}, {});
    REQUIRE_MESSAGE(grown.has_value(), grown.error().message());
    REQUIRE(cluster.Handle(*first.raft, "three").has_value());
    CHECK(Ids(first.raft->Status()) == std::vector<uint64_t>{1, 2, 3});
    CHECK(!first.raft->Status().is_joint);
    cluster.Until("the joiners", [&] {
      return cluster.At(2).machine->applied.size() == 3 && cluster.At(3).machine->applied.size() == 3;
    });

    Result<void> shrunk = ChangeOn(cluster, *first.raft, {}, {NodeId(1)});
    REQUIRE_MESSAGE(shrunk.has_value(), shrunk.error().message());
    cluster.Until("the removed leader to step down", [&] { return !first.raft->IsLeader(); });
    Cluster::Node& leader = cluster.WaitForLeader();
    CHECK(&leader != &first);
    REQUIRE(cluster.Handle(*leader.raft, "without").has_value());
    CHECK(leader.machine->applied == std::vector<std::string>{"alone", "two", "three", "without"});
    CHECK(Ids(leader.raft->Status()) == std::vector<uint64_t>{2, 3});
  }

  TEST_CASE(
      "a leader that was alone and idle for longer than an election timeout remains leader when a member is added") {
    Cluster cluster(0, Setup{[](Options& options) { options.bootstrap_as_leader = options.id == NodeId(1); }, {}});
    Cluster::Node& first = cluster.Add(1, {});
    cluster.WaitForLeader();
    Term term = first.raft->Status().term;
    TimePoint idle_until = Clock::now() + 2 * first.options.election_timeout_max;
    cluster.Until("the leader to have been idle", [&] { return Clock::now() > idle_until; });
    cluster.Add(2, {});
    Result<void> grown = ChangeOn(cluster, *first.raft, {PeerAt(2)}, {});
    REQUIRE_MESSAGE(grown.has_value(), grown.error().message());
    REQUIRE(cluster.Handle(*first.raft, "two").has_value());
    CHECK(first.raft->Status().term == term);
  }

  TEST_CASE("two nodes may be added and one removed in one change, and all restart with it") {
    Cluster cluster(0, Setup{[](Options& options) { options.bootstrap_as_leader = options.id == NodeId(1); }, {}});
    cluster.Add(1, {});
    cluster.Add(2, {});
    cluster.Add(3, {});
    Cluster::Node& first = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*first.raft, "a").has_value());
    Result<void> changed = ChangeOn(cluster, *first.raft, {PeerAt(2), PeerAt(3)}, {NodeId(1)});
    REQUIRE_MESSAGE(changed.has_value(), changed.error().message());
    for (auto& node : cluster.nodes) node.raft.reset();
    cluster.Restart(cluster.At(2));
    cluster.Restart(cluster.At(3));
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "b").has_value());
    CHECK(leader.machine->applied == std::vector<std::string>{"a", "b"});
  }

  TEST_CASE("invalid changes are refused by name") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "a").has_value());
    Raft& raft = *leader.raft;
    CHECK(CodeOf(ChangeOn(cluster, raft, {PeerAt(2)}, {})) == Errc::kAlreadyMember);
    CHECK(CodeOf(ChangeOn(cluster, raft, {}, {NodeId(9)})) == Errc::kNotMember);
    CHECK(CodeOf(ChangeOn(cluster, raft, {}, {NodeId(1), NodeId(2), NodeId(3)})) == Errc::kEmptyConfig);
    CHECK(CodeOf(ChangeOn(cluster, raft, {Peer(NodeId(4), Addr("nonsense"))}, {})) == Errc::kInvalidArgument);
    Cluster::Node& follower = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    cluster.Until("the follower to know", [&] { return follower.raft->Status().leader.has_value(); });
    Result<void> refused = ChangeOn(cluster, *follower.raft, {PeerAt(4)}, {});
    REQUIRE(!refused.has_value());
    CHECK(refused.error() == Errc::kNotLeader);
    CHECK(refused.error().leader() == Peer(leader.options.id, leader.options.addr));

    // No node replies: the change stays open, and a second one is refused.
    for (auto& node : cluster.nodes)
      if (&node != &leader) cluster.network.Cut(node.options.addr);
    MaybeDone first;
    Owned one = Change(raft, {}, {follower.options.id}, first);
    cluster.Until("the joint configuration", [&] { return raft.Status().is_joint || first.has_value(); });
    REQUIRE_MESSAGE(!first.has_value(), first->error().message());
    CHECK(CodeOf(ChangeOn(cluster, raft, {PeerAt(5)}, {})) == Errc::kConfigInProgress);
    cluster.Until("the leader to step down", [&] { return first.has_value(); });
    CHECK(CodeOf(*first) == Errc::kUnknown);
  }
}

TEST_SUITE("node/status") {
  TEST_CASE("the status has role, term, indexes and the peers with their lag") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    for (int i = 0; i < 5; ++i) REQUIRE(cluster.Handle(*leader.raft, "x").has_value());
    Cluster::Node& cut = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    cluster.Until("all to be there", [&] {
      for (const PeerStatus& peer : leader.raft->Status().peers)
        if (peer.lag_entries != 0) return false;
      return leader.raft->Status().peers.size() == 3;
    });
    cluster.network.Cut(cut.options.addr);
    for (int i = 0; i < 4; ++i) REQUIRE(cluster.Handle(*leader.raft, "y").has_value());
    cluster.Until("the lag", [&] {
      RaftStatus status = leader.raft->Status();
      for (const PeerStatus& peer : status.peers)
        if (peer.peer.id == cut.options.id && peer.lag_entries == 4 && !peer.is_reachable) return true;
      return false;
    });
    RaftStatus status = leader.raft->Status();
    CHECK(status.id == leader.options.id);
    CHECK(status.role == Role::kLeader);
    CHECK(status.leader == Peer(leader.options.id, leader.options.addr));
    CHECK(status.last_index == Index(11));  // a configuration, a no-op, nine commands
    CHECK(status.commit_index == Index(11));
    CHECK(status.applied_index == Index(11));
    CHECK(status.term >= Term(2));
    CHECK(!status.is_stopped);
    REQUIRE(status.peers.size() == 3);
    for (const PeerStatus& peer : status.peers) {
      CHECK(peer.kind == MemberKind::kVoter);
      CHECK(peer.is_self == (peer.peer.id == leader.options.id));
      if (peer.is_self) CHECK(peer.match_index == Index(11));
    }
    for (auto& node : cluster.nodes) {
      if (&node == &leader || &node == &cut) continue;
      CHECK(node.raft->Status().role == Role::kFollower);
      CHECK(node.raft->Status().leader == Peer(leader.options.id, leader.options.addr));
      CHECK(node.raft->Status().term == status.term);
    }
  }
}

TEST_SUITE("node/forward") {
  TEST_CASE(
      "forwarded calls survive changes of the leader: acknowledged ones are applied once, unknown ones at most once") {
    Cluster cluster(3);
    cluster.WaitForLeader();
    std::vector<std::string> acknowledged, unknown;
    std::vector<Owned> callers;
    int ended = 0;
    constexpr int kCallers = 6, kCalls = 40;
    for (int c = 0; c < kCallers; ++c) {
      Raft& raft = *cluster.nodes[static_cast<size_t>(c) % 3].raft;
      callers.push_back(Forwarding(raft, std::to_string(c) + ".", kCalls, acknowledged, unknown, ended));
    }
    for (int round = 0; round < 3; ++round) {
      size_t before = acknowledged.size();
      cluster.Until("some calls", [&] { return acknowledged.size() >= before + 20 || ended == kCallers; });
      Cluster::Node& leader = cluster.WaitForLeader();
      cluster.network.Cut(leader.options.addr);
      cluster.WaitForLeader();
      cluster.network.Heal(leader.options.addr);
    }
    cluster.Until("the callers", [&] { return ended == kCallers; });
    Cluster::Node& leader = cluster.WaitForLeader();
    REQUIRE(cluster.Handle(*leader.raft, "end", HandleOptions().Forward()).has_value());
    cluster.Until("all to have applied", [&] {
      for (auto& node : cluster.nodes)
        if (CountOf(node.machine->applied, "end") == 0) return false;
      return true;
    });
    const std::vector<std::string>& applied = leader.machine->applied;
    for (auto& node : cluster.nodes) CHECK(node.machine->applied == applied);
    CHECK(acknowledged.size() + unknown.size() == kCallers * kCalls);
    for (const std::string& command : acknowledged) CHECK(CountOf(applied, command) == 1);
    for (const std::string& command : unknown) CHECK(CountOf(applied, command) <= 1);
  }

  TEST_CASE("calls that were forwarded together are applied in the order in which they were made") {
    Cluster cluster(3);
    Cluster::Node& leader = cluster.WaitForLeader();
    Cluster::Node& follower = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    cluster.Until("the follower to know", [&] { return follower.raft->Status().leader.has_value(); });
    std::deque<MaybeResult> results(50);
    MaybeResults span;
    std::vector<Owned> callers;
    std::vector<std::string> expected;
    cluster.InTurn([&] {
      for (size_t i = 0; i < results.size(); ++i) {
        callers.push_back(CallOne(*follower.raft, std::to_string(i), HandleOptions().Forward(), results[i]));
        expected.push_back(std::to_string(i));
      }
      callers.push_back(CallSpan(*follower.raft, {"s1", "s2"}, HandleOptions().Forward(), span));
    });
    expected.push_back("s1");
    expected.push_back("s2");
    cluster.Until("the calls", [&] {
      for (MaybeResult& result : results)
        if (!result) return false;
      return span.has_value();
    });
    for (size_t i = 0; i < results.size(); ++i)
      CHECK(results[i]->value().view() == std::to_string(i + 1) + ":" + std::to_string(i));
    REQUIRE(span->has_value());
    CHECK(span->value()[1].view() == "52:s2");
    CHECK(leader.machine->applied == expected);
  }
}

TEST_SUITE("node/catch-up") {
  TEST_CASE("a follower that was away catches up from the leader's storage, in its order") {
    std::vector<std::shared_ptr<DecoratedStorage>> disks;
    Cluster cluster(3, Setup{[](Options& options) {
                               options.limits.cached_tail_bytes = 4096;
                               options.limits.peer_window_bytes = 8192;
                               options.limits.max_batch_bytes = 4096;
                             },
                             [&](uint64_t) {
                               disks.push_back(std::make_shared<DecoratedStorage>());
                               return disks.back();
                             }});
    Cluster::Node& leader = cluster.WaitForLeader();
    Cluster::Node& away = cluster.nodes[&leader == &cluster.nodes[0] ? 1 : 0];
    cluster.network.Cut(away.options.addr);
    for (int i = 0; i < 300; ++i)
      REQUIRE(cluster.Handle(*leader.raft, std::to_string(i) + std::string(500, 'x')).has_value());
    CHECK(away.machine->applied.empty());
    std::atomic<int>& reads = disks[leader.options.id.value() - 1]->reads;
    int before = reads;
    cluster.network.Heal(away.options.addr);
    size_t most_in_flight = 0;
    cluster.Until("the follower to catch up", [&] {
      for (const PeerStatus& peer : leader.raft->Status().peers)
        most_in_flight = std::max(most_in_flight, peer.inflight_bytes);
      return away.machine->applied.size() == 300;
    });
    CHECK(away.machine->applied == leader.machine->applied);
    CHECK(reads > before);
    CHECK(most_in_flight <= 8192 + 4096);
  }
}

TEST_SUITE("node/real") {
  TEST_CASE("three nodes on LMDB and Cap'n Proto replicate, lose their leader, and it rejoins") {
    TemporaryDirectory directory;
    Cluster driver(0);
    std::vector<Peer> members;
    int base = 20000 + static_cast<int>(getpid() % 12000);  // connections get ports from 32768 on
    for (int i = 1; i <= 3; ++i)
      members.emplace_back(NodeId(static_cast<uint64_t>(i)), Addr("127.0.0.1:" + std::to_string(base + i)));
    std::deque<ListMachine> machines(3);
    std::vector<std::unique_ptr<Raft>> rafts(3);
    auto start = [&](size_t i) -> Result<void> {
      machines[i] = ListMachine();
      Options options = Cluster::MakeOptions(i + 1);
      options.addr = members[i].addr;
      options.initial_members = members;
      options.election_timeout_min = 300ms;
      options.election_timeout_max = 600ms;
      options.heartbeat_interval = 30ms;
      options.rpc.logger = &SilentLogger();
      options.data_dir = directory.path + "/" + std::to_string(i + 1);
      auto raft = Raft::Create(options, machines[i]);
      if (!raft) return raft.error();
      rafts[i] = std::move(raft.value());
      return rafts[i]->Run(*driver.reactor);
    };
    for (size_t i = 0; i < 3; ++i) {
      Result<void> started = start(i);
      REQUIRE_MESSAGE(started.has_value(), started.error().message());
    }
    {
      // Node 1 holds the data directory, and also its port.
      ListMachine machine;
      Options options = Cluster::MakeOptions(1);
      options.addr = members[0].addr;
      options.initial_members = members;
      options.data_dir = directory.path + "/1";
      auto locked = Raft::Create(options, machine);
      REQUIRE(!locked.has_value());
      CHECK(locked.error() == Errc::kLocked);
      options.data_dir = directory.path + "/other";
      auto second = Raft::Create(options, machine);
      REQUIRE(second.has_value());
      Result<void> in_use = second.value()->Run(*driver.reactor);
      REQUIRE(!in_use.has_value());
      CHECK(in_use.error() == Errc::kIo);
      CHECK(in_use.error().message().find(members[0].addr.text()) != std::string::npos);
    }
    auto leader_of = [&] {
      size_t leader = 3;
      driver.Until("a leader", [&] {
        leader = 3;
        for (size_t i = 0; i < 3; ++i)
          if (rafts[i] != nullptr && rafts[i]->IsLeader()) leader = i;
        return leader < 3;
      });
      return leader;
    };
    std::vector<std::string> expected;
    auto write = [&](int count) {
      for (int i = 0; i < count; ++i) {
        std::string command = "c" + std::to_string(expected.size());
        size_t any = rafts[0] != nullptr ? 0 : 1;
        Result<Bytes> result = driver.Handle(*rafts[any], command, HandleOptions().Forward().Timeout(30s));
        REQUIRE_MESSAGE(result.has_value(), result.error().message());
        expected.push_back(command);
      }
    };
    write(30);
    size_t stopped = leader_of();
    rafts[stopped].reset();
    leader_of();
    driver.Until("the other one to follow", [&] {
      std::optional<Peer> leader = rafts[stopped == 0 ? 1 : 0]->Status().leader;
      return leader && leader->id != members[stopped].id;
    });
    write(30);
    Result<void> restarted = start(stopped);
    REQUIRE_MESSAGE(restarted.has_value(), restarted.error().message());
    driver.Until("all to have everything", [&] {
      for (ListMachine& machine : machines)
        if (machine.applied.size() < expected.size()) return false;
      return true;
    });
    for (ListMachine& machine : machines) CHECK(machine.applied == expected);
    for (auto& raft : rafts) raft.reset();
    for (size_t i = 0; i < 3; ++i) REQUIRE(start(i).has_value());  // all at once
    driver.Until("the replay", [&] {
      for (ListMachine& machine : machines)
        if (machine.applied.size() < expected.size()) return false;
      return true;
    });
    for (ListMachine& machine : machines) CHECK(machine.applied == expected);
    rafts.clear();
  }
}
