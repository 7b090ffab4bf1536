// Bootstrapping a cluster from a fixed list: when the members do, and when they wait.
#include <algorithm>
#include <map>

#include "core/configuration.h"
#include "fixed_list.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

// A member that the test plays, with the incarnation of eleven times its id. It replies to bootstrap calls and nothing
// else.
class ListedMember final : public RpcService {
 public:
  explicit ListedMember(Cluster& cluster, uint64_t id = 3) : rpc_(*cluster.reactor, cluster.network) {
    self_.node = NodeId(id);
    self_.incarnation = 11 * id;
    self_.start_count = 1;
    REQUIRE(rpc_.Listen(PeerAt(id).addr).has_value());
    rpc_.Register(*this, [this] { return self_; });
    REQUIRE(rpc_.Serve().has_value());
  }
  ~ListedMember() override { rpc_.Close(); }

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs) override { co_return Errc::kStopped; }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs) override { co_return Errc::kStopped; }
  Task<Result<ForwardResults>> Forward(ForwardArgs) override { co_return Errc::kStopped; }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs) override {
    BootstrapResults results;
    results.incarnation = self_.incarnation;
    results.is_bootstrapped = is_bootstrapped;
    results.members = written;
    co_return results;
  }
  Result<void> OnHandshake(const Identity&) override { return Success(); }

  std::string written;
  bool is_bootstrapped = false;

 private:
  Identity self_;
  LocalRpc rpc_;
};

uint64_t IncarnationOf(const Options& options, Storage& storage) {
  return node::ClaimStorage(options, storage, storage.Recover().value()).value().identity.incarnation;
}

}  // namespace

TEST_SUITE("node/bootstrap") {
  TEST_CASE(
      "a fixed list bootstraps once all members have run, all with the same entry, which names their directories") {
    FixedList nodes;
    nodes.Start(1);
    nodes.Start(2);
    nodes.UntilLogged(1, "waits for node(s) 3: all members of initial_members have to be there once");
    nodes.UntilLogged(2, "waits for node(s) 3: all members of initial_members have to be there once");
    nodes.UntilMoreBootstrapCalls();
    CHECK(nodes.cluster.Leader() == nullptr);
    CHECK_FALSE(nodes.HasAnyBootstrapped());
    CHECK(nodes.Written(1).empty());
    nodes.Start(3);
    Cluster::Node& leader = nodes.cluster.WaitForLeader();
    REQUIRE(nodes.cluster.Handle(*leader.raft, "a").has_value());
    for (uint64_t id = 1; id <= 3; ++id)
      nodes.cluster.Until("their logs", [&] { return nodes.cluster.At(id).machine->applied.size() == 1; });

    std::map<NodeId, uint64_t> disks;
    for (Cluster::Node& node : nodes.cluster.nodes) {
      node.raft.reset();
      disks[node.options.id] = IncarnationOf(node.options, *node.storage);
    }
    const BatchRef first = nodes.cluster.At(1).storage->Read(Index(1), 1).value().front();
    CHECK(first.last() == Index(1));
    CHECK(first.term() == Term(1));
    for (Cluster::Node& node : nodes.cluster.nodes) {
      CHECK(node.storage->Read(Index(1), 1).value().front().bytes() == first.bytes());
      const RecoveredLog recovered = node.storage->Recover().value();
      REQUIRE(recovered.configurations.size() == 1);
      CHECK(recovered.configurations[0].index == Index(1));
      CHECK(recovered.configurations[0].command == nodes.Written(node.options.id.value()));
      const core::Configuration members = core::Configuration::Decode(recovered.configurations[0].command).value();
      REQUIRE(members.voters.size() == 3);
      for (const core::Member& member : members.voters) CHECK(member.incarnation == disks.at(member.id));
    }
  }

  TEST_CASE("all bootstrapping members have one generation, also after a restart, and a second bootstrap has another") {
    std::vector<Generation> founded;
    for (int founding = 0; founding < 2; ++founding) {
      FixedList nodes;
      for (uint64_t id : {1, 2, 3}) nodes.Start(id);
      REQUIRE(nodes.cluster.Handle(*nodes.cluster.WaitForLeader().raft, "a").has_value());
      for (uint64_t id : {1, 2, 3})
        nodes.cluster.Until("their logs", [&] { return nodes.cluster.At(id).machine->applied.size() == 1; });
      founded.push_back(nodes.GenerationOf(1));
      CHECK(founded.back().counter == 1);
      CHECK(founded.back().origin != 0);
      for (uint64_t id : {2, 3}) CHECK(nodes.GenerationOf(id) == founded.back());
      nodes.cluster.Restart(nodes.cluster.At(2));
      CHECK(nodes.GenerationOf(2) == founded.back());
      // A node that joins has it, too.
      nodes.Start(4, {});
      REQUIRE(nodes.Change(*nodes.cluster.WaitForLeader().raft, ConfigChange().AddVoter(PeerAt(4))) == Errc::kOk);
      CHECK(nodes.GenerationOf(4) == founded.back());
      nodes.cluster.Restart(nodes.cluster.At(4));
      CHECK(nodes.GenerationOf(4) == founded.back());
    }
    CHECK(founded[0] != founded[1]);
  }

  TEST_CASE("C13: a second cluster with the id of the first is refused by name, and the logs are never mixed") {
    for (const bool is_named : {true, false}) {  // otherwise the id is the hash of the list
      CAPTURE(is_named);
      FixedList nodes;
      Cluster& cluster = nodes.cluster;
      nodes.cluster_name = is_named ? "orders" : "";
      const std::vector<Peer> alone = {PeerAt(1)}, none;
      for (uint64_t id : {1, 2, 3}) nodes.Start(id, is_named ? kThree : id == 1 ? alone : none);
      REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
      for (uint64_t id : {2, 3}) {
        if (is_named) continue;
        REQUIRE(nodes.Change(*cluster.WaitForLeader().raft, ConfigChange().AddVoter(PeerAt(id))) == Errc::kOk);
      }
      for (uint64_t id : {2, 3})
        cluster.Until("their logs", [&] { return cluster.At(id).machine->applied.size() == 1; });

      // Node 1 loses its directory, and bootstraps a second cluster.
      Cluster::Node& founder = cluster.At(1);
      founder.options.initial_members = alone;
      nodes.StartEmptied(1);
      cluster.Until("it to lead alone", [&] { return founder.raft->IsLeader(); });
      REQUIRE(cluster.Handle(*founder.raft, "x").has_value());
      const auto leader = [&] { return cluster.At(2).raft->IsLeader() ? 2 : cluster.At(3).raft->IsLeader() ? 3 : 0; };
      cluster.Until("the others to have a leader", [&] { return leader() != 0; });
      Raft& raft = *cluster.At(static_cast<uint64_t>(leader())).raft;
      REQUIRE(cluster.Handle(raft, "b").has_value());

      // Its directory is not accepted as the first one's.
      CHECK_FALSE(nodes.Change(raft, ConfigChange().Readmit(NodeId(1)), HandleOptions().Timeout(1s)) == Errc::kOk);
      CHECK(founder.machine->applied == std::vector<std::string>{"x"});
      cluster.InTurn([&] {
        const Identity ours = raft.node().peers().self(), theirs = founder.raft->node().peers().self();
        CHECK(ours.cluster == theirs.cluster);
        const Result<void> met = raft.node().peers().Verify(theirs), back = founder.raft->node().peers().Verify(ours);
        REQUIRE_FALSE(met.has_value());
        REQUIRE_FALSE(back.has_value());
        CHECK(met.error() == Errc::kOldGeneration);
        CHECK(met.error().message().find("two clusters were bootstrapped under one identity") != std::string::npos);
        CHECK(met.error().message().find("empty their data directories, start them to join it and add or readmit") !=
              std::string::npos);
        CHECK(back.error() == Errc::kOldGeneration);
      });

      // The advice in the message helps.
      founder.options.initial_members.clear();
      nodes.StartEmptied(1);
      cluster.Until("its leader to know", [&] { return nodes.NeedsReadmission(1); });
      REQUIRE(nodes.Readmit(1) == Errc::kOk);
      cluster.Until("it to have the log", [&] { return founder.machine->applied.size() == 2; });
      CHECK(founder.machine->applied == std::vector<std::string>{"a", "b"});
    }
  }

  TEST_CASE("no member bootstraps before all have written the list down") {
    FixedList nodes;
    ListedMember third(nodes.cluster);
    nodes.Start(1);
    nodes.Start(2);
    for (uint64_t id : {1, 2})
      nodes.cluster.Until("the list to be written", [&] { return !nodes.Written(id).empty(); });
    CHECK(nodes.Written(1) == nodes.Written(2));
    nodes.UntilMoreBootstrapCalls();
    CHECK_FALSE(nodes.HasAnyBootstrapped());
    third.written = nodes.Written(1);
    Cluster::Node& leader = nodes.cluster.WaitForLeader();
    REQUIRE(nodes.cluster.Handle(*leader.raft, "a").has_value());  // two of three are a majority
    CHECK(core::Configuration::Decode(third.written).value().Find(NodeId(3))->incarnation == 33);
  }

  TEST_CASE("a bootstrapping member that was late bootstraps, though a readmitted member has written nothing") {
    for (const uint64_t readmitted : {uint64_t{1}, uint64_t{4}}) {  // its reply is examined first, or last
      CAPTURE(readmitted);
      FixedList nodes;
      ListedMember first(nodes.cluster, 1), last(nodes.cluster, 4);
      nodes.Start(2, {PeerAt(1), PeerAt(2), PeerAt(4)});
      nodes.cluster.Until("the list to be written", [&] { return !nodes.Written(2).empty(); });
      (readmitted == 1 ? first : last).is_bootstrapped = true;
      nodes.UntilLogged(2, "does not vote: the cluster has begun without this data directory");
      CHECK_FALSE(nodes.HasBootstrapped(2));
      ListedMember& founder = readmitted == 1 ? last : first;
      founder.written = nodes.Written(2);
      founder.is_bootstrapped = true;
      nodes.cluster.Until("its beginning", [&] { return nodes.HasBootstrapped(2); });
    }
  }

  TEST_CASE("if a member is emptied before all have written the list, all of them wait, and log it") {
    FixedList nodes;
    {
      ListedMember third(nodes.cluster);
      nodes.Start(1);
      nodes.Start(2);
      for (uint64_t id : {1, 2})
        nodes.cluster.Until("the list to be written", [&] { return !nodes.Written(id).empty(); });
    }
    nodes.Start(3);  // with another disk
    for (uint64_t id : {1, 2, 3})
      nodes.UntilLogged(id, "nothing has been acknowledged yet: stop all members, empty their directories and start");
    nodes.UntilMoreBootstrapCalls();
    CHECK_FALSE(nodes.HasAnyBootstrapped());
    CHECK(nodes.Written(3).empty());

    // The advice in their log helps.
    for (uint64_t id : {1, 2, 3}) nodes.cluster.At(id).raft.reset();
    for (uint64_t id : {1, 2, 3}) nodes.StartEmptied(id);
    REQUIRE(nodes.cluster.Handle(*nodes.cluster.WaitForLeader().raft, "a").has_value());
  }

  TEST_CASE("a member that alone has written the list logs it, too, when the other one is emptied") {
    const std::vector<Peer> two = {PeerAt(1), PeerAt(3)};
    FixedList nodes;
    {
      ListedMember third(nodes.cluster);
      nodes.Start(1, two);
      nodes.cluster.Until("the list to be written", [&] { return !nodes.Written(1).empty(); });
    }
    nodes.Start(3, two);
    for (uint64_t id : {1, 3}) nodes.UntilLogged(id, "the members do not agree on each other's data directories");
    CHECK_FALSE(nodes.HasAnyBootstrapped());
  }

  TEST_CASE("a list that one of its members does not have bootstraps nothing") {
    FixedList nodes;
    const std::vector<Peer> four = {PeerAt(1), PeerAt(2), PeerAt(3), PeerAt(4)};
    nodes.Start(1);
    nodes.Start(2);
    nodes.Start(3, four);
    nodes.Start(4, four);
    const std::string text = "the members do not agree on each other's data directories";
    nodes.cluster.Until("a member to log it", [&] {
      return std::any_of(four.begin(), four.end(),
                         [&](const Peer& peer) { return nodes.logger.Has(peer.id.value(), text); });
    });
    nodes.UntilMoreBootstrapCalls();
    CHECK_FALSE(nodes.HasAnyBootstrapped());
    // Nor after a restart of all of them: the written list stays.
    for (Cluster::Node& node : nodes.cluster.nodes) node.raft.reset();
    for (Cluster::Node& node : nodes.cluster.nodes) nodes.cluster.Restart(node);
    nodes.UntilMoreBootstrapCalls();
    CHECK_FALSE(nodes.HasAnyBootstrapped());
  }
}
