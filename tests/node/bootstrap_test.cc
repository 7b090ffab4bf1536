// How a cluster comes of a fixed list, and what becomes of a member that has lost its data directory, or comes with an
// old one.
#include <algorithm>
#include <map>
#include <mutex>

#include "cluster.h"
#include "core/configuration.h"
#include "node/node.h"
#include "node/start_counts.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

const std::vector<Peer> kThree = {PeerAt(1), PeerAt(2), PeerAt(3)};

class RememberingLogger final : public Logger {
 public:
  void Write(LogLevel, std::string_view message) override {
    std::lock_guard lock(mutex_);
    messages_.emplace_back(message);
  }
  bool Has(uint64_t id, std::string_view text) const {
    const std::string name = "node " + std::to_string(id) + ": ";
    std::lock_guard lock(mutex_);
    return std::any_of(messages_.begin(), messages_.end(), [&](const std::string& message) {
      return message.starts_with(name) && message.find(text) != std::string::npos;
    });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

Owned ChangeInto(Raft& raft, ConfigChange change, MaybeDone& result, HandleOptions options = HandleOptions()) {
  auto call = raft.ChangeConfig(std::move(change), options);
  Result<void> got = co_await call;
  result = std::move(got);
}

// Nodes of fixed lists, started one by one.
struct Forming {
  void Start(uint64_t id, std::vector<Peer> list = kThree) { cluster.Add(id, std::move(list)); }
  // As after `rm -rf` and a start with the same command line.
  void StartEmptied(uint64_t id) {
    Cluster::Node& node = cluster.At(id);
    node.raft.reset();
    node.storage = MakeMemoryStorage();
    cluster.Restart(node);
  }
  void UntilSaid(uint64_t id, const std::string& text) {
    cluster.Until(text.c_str(), [&] { return logger.Has(id, text); });
  }
  // Long enough for elections, if there were a cluster.
  void UntilAskedMore() {
    const uint64_t goal = cluster.network.forms_asked() + 100;
    cluster.Until("the members to ask each other",
                  [&] { return cluster.network.forms_asked() >= goal || HasAnyBegun(); });
  }
  std::string Written(uint64_t id) { return cluster.At(id).storage->Store().Get(node::kMembersKey).value(); }
  bool HasBegun(uint64_t id) { return cluster.At(id).storage->Recover().value().last_index != Index(0); }
  bool HasAnyBegun() {
    return std::any_of(cluster.nodes.begin(), cluster.nodes.end(),
                       [&](const Cluster::Node& node) { return HasBegun(node.options.id.value()); });
  }
  bool IsToBeReadmitted(uint64_t id) {
    const Cluster::Node* leader = cluster.Leader();
    if (leader == nullptr) return false;
    const RaftStatus status = leader->raft->Status();
    return std::any_of(status.peers.begin(), status.peers.end(),
                       [&](const PeerStatus& peer) { return peer.peer.id == NodeId(id) && peer.needs_readmission; });
  }
  Error Change(Raft& raft, ConfigChange change, HandleOptions options = HandleOptions()) {
    MaybeDone result;
    Owned caller = ChangeInto(raft, std::move(change), result, options);
    cluster.Until("the end of a change", [&] { return result.has_value(); });
    return *result ? Error() : result->error();
  }
  Error Readmit(uint64_t id) { return Change(*cluster.WaitForLeader().raft, ConfigChange().Readmit(NodeId(id))); }
  Generation GenerationOf(uint64_t id) {
    Generation generation;
    cluster.InTurn([&] { generation = cluster.At(id).raft->node().identity().generation; });
    return generation;
  }

  RememberingLogger logger;
  std::string cluster_name;
  Cluster cluster{0, Setup{[this](Options& options) {
                             options.logger = &logger;
                             options.cluster_name = cluster_name;
                           },
                           {},
                           {}}};
};

// A member that the test plays, with a data directory of eleven times its id. It answers the questions of the others,
// and nothing else.
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

Identity Start(uint64_t count, uint64_t process, uint64_t incarnation = 5) {
  Identity identity;
  identity.node = NodeId(1);
  identity.incarnation = incarnation;
  identity.start_count = count;
  identity.process = process;
  return identity;
}

struct Checked {
  Errc errc;
  bool is_news;
  bool operator==(const Checked&) const = default;
};
Checked Check(node::StartCounts& counts, const Identity& peer) {
  bool is_news = false;
  const Result<void> known = counts.Check(peer, is_news);
  return {known ? Errc::kOk : known.error().code(), is_news};
}

std::shared_ptr<Storage> CopyOf(Storage& original) {
  auto copy = MakeMemoryStorage();
  const std::vector<BatchRef> batches = original.Read(Index(1), SIZE_MAX).value();
  REQUIRE(copy->Commit(original.Recover().value().hard_state, std::nullopt, batches).has_value());
  for (const char* key : {node::kIdentityKey, node::kMembersKey, node::kStartsKey})
    REQUIRE(copy->Store().Set(key, original.Store().Get(key).value()).has_value());
  return copy;
}

// By its own directory, before it is run.
bool IsRefused(Cluster::Node& node, const std::string& why) {
  auto raft = Raft::Create(node.options, *node.machine);
  return !raft && raft.error() == Errc::kDuplicateNode && raft.error().message().find(why) != std::string::npos;
}

// Does this storage say that later starts of the node than `peer` are known?
bool KnowsLaterThan(Storage& storage, const Identity& peer) {
  node::StartCounts counts = node::StartCounts::Decode(storage.Store().Get(node::kStartsKey).value()).value();
  return Check(counts, peer).errc == Errc::kDuplicateNode;
}

}  // namespace

TEST_SUITE("node/forming") {
  TEST_CASE("a fixed list forms when all have been there, and all begin with the same entry, which has their disks") {
    Forming forming;
    forming.Start(1);
    forming.Start(2);
    forming.UntilSaid(1, "waits for node(s) 3: all members of initial_members have to be there once");
    forming.UntilSaid(2, "waits for node(s) 3: all members of initial_members have to be there once");
    forming.UntilAskedMore();
    CHECK(forming.cluster.Leader() == nullptr);
    CHECK_FALSE(forming.HasAnyBegun());
    CHECK(forming.Written(1).empty());
    forming.Start(3);
    Cluster::Node& leader = forming.cluster.WaitForLeader();
    REQUIRE(forming.cluster.Handle(*leader.raft, "a").has_value());
    for (uint64_t id = 1; id <= 3; ++id)
      forming.cluster.Until("their logs", [&] { return forming.cluster.At(id).machine->applied.size() == 1; });

    std::map<NodeId, uint64_t> disks;
    for (Cluster::Node& node : forming.cluster.nodes) {
      node.raft.reset();
      disks[node.options.id] = IncarnationOf(node.options, *node.storage);
    }
    const BatchRef first = forming.cluster.At(1).storage->Read(Index(1), 1).value().front();
    CHECK(first.last() == Index(1));
    CHECK(first.term() == Term(1));
    for (Cluster::Node& node : forming.cluster.nodes) {
      CHECK(node.storage->Read(Index(1), 1).value().front().bytes() == first.bytes());
      const RecoveredLog recovered = node.storage->Recover().value();
      REQUIRE(recovered.configurations.size() == 1);
      CHECK(recovered.configurations[0].index == Index(1));
      CHECK(recovered.configurations[0].command == forming.Written(node.options.id.value()));
      const core::Configuration members = core::Configuration::Decode(recovered.configurations[0].command).value();
      REQUIRE(members.voters.size() == 3);
      for (const core::Member& member : members.voters) CHECK(member.incarnation == disks.at(member.id));
    }
  }

  TEST_CASE("all founders are of one generation, also after a start, and another founding of the list is of another") {
    std::vector<Generation> founded;
    for (int founding = 0; founding < 2; ++founding) {
      Forming forming;
      for (uint64_t id : {1, 2, 3}) forming.Start(id);
      REQUIRE(forming.cluster.Handle(*forming.cluster.WaitForLeader().raft, "a").has_value());
      for (uint64_t id : {1, 2, 3})
        forming.cluster.Until("their logs", [&] { return forming.cluster.At(id).machine->applied.size() == 1; });
      founded.push_back(forming.GenerationOf(1));
      CHECK(founded.back().counter == 1);
      CHECK(founded.back().origin != 0);
      for (uint64_t id : {2, 3}) CHECK(forming.GenerationOf(id) == founded.back());
      forming.cluster.Restart(forming.cluster.At(2));
      CHECK(forming.GenerationOf(2) == founded.back());
      // Who joins is of it, too.
      forming.Start(4, {});
      REQUIRE(forming.Change(*forming.cluster.WaitForLeader().raft, ConfigChange().AddVoter(PeerAt(4))) == Errc::kOk);
      CHECK(forming.GenerationOf(4) == founded.back());
      forming.cluster.Restart(forming.cluster.At(4));
      CHECK(forming.GenerationOf(4) == founded.back());
    }
    CHECK(founded[0] != founded[1]);
  }

  TEST_CASE("C13: a second cluster under the id of the first is refused by name, and the logs are never mixed") {
    for (const bool is_named : {true, false}) {  // otherwise the list of one member is the id
      CAPTURE(is_named);
      Forming forming;
      Cluster& cluster = forming.cluster;
      forming.cluster_name = is_named ? "orders" : "";
      const std::vector<Peer> alone = {PeerAt(1)}, none;
      for (uint64_t id : {1, 2, 3}) forming.Start(id, is_named ? kThree : id == 1 ? alone : none);
      REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
      for (uint64_t id : {2, 3}) {
        if (is_named) continue;
        REQUIRE(forming.Change(*cluster.WaitForLeader().raft, ConfigChange().AddVoter(PeerAt(id))) == Errc::kOk);
      }
      for (uint64_t id : {2, 3})
        cluster.Until("their logs", [&] { return cluster.At(id).machine->applied.size() == 1; });

      // Node 1 loses its directory, and founds a cluster once more.
      Cluster::Node& founder = cluster.At(1);
      founder.options.initial_members = alone;
      forming.StartEmptied(1);
      cluster.Until("it to lead alone", [&] { return founder.raft->IsLeader(); });
      REQUIRE(cluster.Handle(*founder.raft, "x").has_value());
      const auto leader = [&] { return cluster.At(2).raft->IsLeader() ? 2 : cluster.At(3).raft->IsLeader() ? 3 : 0; };
      cluster.Until("the others to have a leader", [&] { return leader() != 0; });
      Raft& raft = *cluster.At(static_cast<uint64_t>(leader())).raft;
      REQUIRE(cluster.Handle(raft, "b").has_value());

      // Its directory is not taken back as the first one's.
      CHECK_FALSE(forming.Change(raft, ConfigChange().Readmit(NodeId(1)), HandleOptions().Timeout(1s)) == Errc::kOk);
      CHECK(founder.machine->applied == std::vector<std::string>{"x"});
      cluster.InTurn([&] {
        const Identity ours = raft.node().identity(), theirs = founder.raft->node().identity();
        CHECK(ours.cluster == theirs.cluster);
        const Result<void> met = raft.node().MeetPeer(theirs), back = founder.raft->node().MeetPeer(ours);
        REQUIRE_FALSE(met.has_value());
        REQUIRE_FALSE(back.has_value());
        CHECK(met.error() == Errc::kOldGeneration);
        CHECK(met.error().message().find("two clusters were founded under one identity") != std::string::npos);
        CHECK(met.error().message().find("empty their data directories, start them to join it and add or readmit") !=
              std::string::npos);
        CHECK(back.error() == Errc::kOldGeneration);
      });

      // What the message says helps.
      founder.options.initial_members.clear();
      forming.StartEmptied(1);
      cluster.Until("its leader to know", [&] { return forming.IsToBeReadmitted(1); });
      REQUIRE(forming.Readmit(1) == Errc::kOk);
      cluster.Until("its log", [&] { return founder.machine->applied.size() == 2; });
      CHECK(founder.machine->applied == std::vector<std::string>{"a", "b"});
    }
  }

  TEST_CASE("nobody begins before all have written the list down") {
    Forming forming;
    ListedMember third(forming.cluster);
    forming.Start(1);
    forming.Start(2);
    for (uint64_t id : {1, 2})
      forming.cluster.Until("the list to be written", [&] { return !forming.Written(id).empty(); });
    CHECK(forming.Written(1) == forming.Written(2));
    forming.UntilAskedMore();
    CHECK_FALSE(forming.HasAnyBegun());
    third.written = forming.Written(1);
    Cluster::Node& leader = forming.cluster.WaitForLeader();
    REQUIRE(forming.cluster.Handle(*leader.raft, "a").has_value());  // two of three are a majority
    CHECK(core::Configuration::Decode(third.written).value().Find(NodeId(3))->incarnation == 33);
  }

  TEST_CASE("a founder that has missed the beginning begins, though a readmitted member has written nothing") {
    for (const uint64_t readmitted : {uint64_t{1}, uint64_t{4}}) {  // its answer is looked at first, or last
      CAPTURE(readmitted);
      Forming forming;
      ListedMember first(forming.cluster, 1), last(forming.cluster, 4);
      forming.Start(2, {PeerAt(1), PeerAt(2), PeerAt(4)});
      forming.cluster.Until("the list to be written", [&] { return !forming.Written(2).empty(); });
      (readmitted == 1 ? first : last).is_bootstrapped = true;
      forming.UntilSaid(2, "does not vote: the cluster has begun without this data directory");
      CHECK_FALSE(forming.HasBegun(2));
      ListedMember& founder = readmitted == 1 ? last : first;
      founder.written = forming.Written(2);
      founder.is_bootstrapped = true;
      forming.cluster.Until("its beginning", [&] { return forming.HasBegun(2); });
    }
  }

  TEST_CASE("a member that is emptied before all have written the list leaves all of them waiting, and they say so") {
    Forming forming;
    {
      ListedMember third(forming.cluster);
      forming.Start(1);
      forming.Start(2);
      for (uint64_t id : {1, 2})
        forming.cluster.Until("the list to be written", [&] { return !forming.Written(id).empty(); });
    }
    forming.Start(3);  // with another disk
    for (uint64_t id : {1, 2, 3})
      forming.UntilSaid(id, "nothing has been acknowledged yet: stop all members, empty their directories and start");
    forming.UntilAskedMore();
    CHECK_FALSE(forming.HasAnyBegun());
    CHECK(forming.Written(3).empty());

    // What they say helps.
    for (uint64_t id : {1, 2, 3}) forming.cluster.At(id).raft.reset();
    for (uint64_t id : {1, 2, 3}) forming.StartEmptied(id);
    REQUIRE(forming.cluster.Handle(*forming.cluster.WaitForLeader().raft, "a").has_value());
  }

  TEST_CASE("who alone has written the list says so too, when the other one is emptied") {
    const std::vector<Peer> two = {PeerAt(1), PeerAt(3)};
    Forming forming;
    {
      ListedMember third(forming.cluster);
      forming.Start(1, two);
      forming.cluster.Until("the list to be written", [&] { return !forming.Written(1).empty(); });
    }
    forming.Start(3, two);
    for (uint64_t id : {1, 3}) forming.UntilSaid(id, "the members do not agree on whose data directories they have");
    CHECK_FALSE(forming.HasAnyBegun());
  }

  TEST_CASE("a list that one of its members has not is the beginning of nothing") {
    Forming forming;
    const std::vector<Peer> four = {PeerAt(1), PeerAt(2), PeerAt(3), PeerAt(4)};
    forming.Start(1);
    forming.Start(2);
    forming.Start(3, four);
    forming.Start(4, four);
    const std::string text = "the members do not agree on whose data directories they have";
    forming.cluster.Until("somebody to say so", [&] {
      return std::any_of(four.begin(), four.end(),
                         [&](const Peer& peer) { return forming.logger.Has(peer.id.value(), text); });
    });
    forming.UntilAskedMore();
    CHECK_FALSE(forming.HasAnyBegun());
    // Nor after a start of all of them: what is written is written for good.
    for (Cluster::Node& node : forming.cluster.nodes) node.raft.reset();
    for (Cluster::Node& node : forming.cluster.nodes) forming.cluster.Restart(node);
    forming.UntilAskedMore();
    CHECK_FALSE(forming.HasAnyBegun());
  }

  TEST_CASE("C17: a member that is emptied counts for nothing until it is readmitted") {
    Forming forming;
    for (uint64_t id : {1, 2, 3}) forming.Start(id);
    Cluster& cluster = forming.cluster;
    const uint64_t leader = cluster.WaitForLeader().options.id.value();
    const uint64_t emptied = leader % 3 + 1, other = emptied % 3 + 1;
    REQUIRE(cluster.Handle(*cluster.At(leader).raft, "a").has_value());
    forming.StartEmptied(emptied);
    forming.UntilSaid(emptied, "does not vote: the cluster has begun without this data directory");
    forming.UntilSaid(leader, "node " + std::to_string(emptied) + " answers with another data directory");
    cluster.Until("its leader to know", [&] { return forming.IsToBeReadmitted(emptied); });

    // The leader has one voter left, and then none: it steps down, and nobody is elected.
    cluster.network.Cut(cluster.At(other).options.addr);
    cluster.Until("the leader to step down", [&] { return cluster.Leader() == nullptr; });
    const uint64_t asked = cluster.network.forms_asked();
    cluster.Until("the emptied one to ask on", [&] {
      CHECK(cluster.Leader() == nullptr);
      return cluster.network.forms_asked() >= asked + 50;
    });
    CHECK_FALSE(forming.HasBegun(emptied));
    cluster.network.Heal(cluster.At(other).options.addr);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    CHECK_FALSE(forming.HasBegun(emptied));

    REQUIRE(forming.Readmit(emptied) == Errc::kOk);
    cluster.Until("its log", [&] { return cluster.At(emptied).machine->applied.size() == 2; });
    CHECK_FALSE(forming.IsToBeReadmitted(emptied));
    // It counts: one of the two others is not needed any more.
    cluster.network.Cut(cluster.At(other).options.addr);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "c").has_value());
  }

  TEST_CASE("an earlier start of a data directory is refused, and the same one in another process") {
    node::StartCounts counts;
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kOk, false});
    CHECK(Check(counts, Start(3, 31)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(2, 20)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(2, 30)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(counts, Start(3, 0)) == Checked{Errc::kOk, false});  // of which process it is, is not known
    CHECK(Check(counts, Start(5, 50)) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(3, 30)) == Checked{Errc::kDuplicateNode, false});
    // Another directory, and another node, have counts of their own; a peer that says nothing of its directory none.
    CHECK(Check(counts, Start(1, 10, 6)) == Checked{Errc::kOk, true});
    Identity other = Start(1, 10);
    other.node = NodeId(2);
    CHECK(Check(counts, other) == Checked{Errc::kOk, true});
    CHECK(Check(counts, Start(1, 10, 0)) == Checked{Errc::kOk, false});
    bool is_news = false;
    const std::string said = counts.Check(Start(4, 40), is_news).error().message();
    CHECK(said.find("node 1 comes with start 4 of its data directory, which does not follow the known start 5") !=
          std::string::npos);
    CHECK(said.find("copy or a restored backup") != std::string::npos);
  }

  TEST_CASE("a copy that was started more often than its original is refused: its starts are others") {
    node::StartCounts counts;
    CHECK(Check(counts, Start(5, 50)).is_news);
    Identity copy = Start(7, 71);
    copy.earlier = {61, 51, 40};
    CHECK(Check(counts, copy) == Checked{Errc::kDuplicateNode, false});
    Identity late = Start(7, 70);
    late.earlier = {60, 50, 40};
    CHECK(Check(counts, late) == Checked{Errc::kOk, true});
    CHECK(Check(counts, copy) == Checked{Errc::kDuplicateNode, false});
    Identity much_later = Start(7 + 33, 1);  // longer ago than it tells
    much_later.earlier.fill(9);
    CHECK(Check(counts, much_later) == Checked{Errc::kOk, true});
  }

  TEST_CASE("a start tells of those before it, also after one that was cut short") {
    auto storage = MakeMemoryStorage();
    Options options = Cluster::MakeOptions(1);
    options.initial_members = {PeerAt(1)};
    std::vector<uint64_t> processes;
    auto claim = [&] {
      const Identity identity = node::ClaimStorage(options, *storage, RecoveredLog()).value().identity;
      for (size_t i = 0; i < std::min<size_t>(processes.size(), 31); ++i)
        CHECK(identity.earlier[i] == processes[processes.size() - 1 - i]);
      processes.push_back(identity.process);
      return identity;
    };
    for (int start = 1; start <= 40; ++start) claim();
    const std::string identity = storage->Store().Get(node::kIdentityKey).value();
    claim();
    REQUIRE(storage->Store().Set(node::kIdentityKey, identity).has_value());  // as if it had not come so far
    processes.pop_back();
    CHECK(claim().start_count == 41);
    CHECK(claim().start_count == 42);
  }

  TEST_CASE("start counts are stored whole, and what is malformed is refused") {
    CHECK(node::StartCounts().Encode().empty());
    node::StartCounts counts;
    CHECK(Check(counts, Start(3, 30)).is_news);
    CHECK(Check(counts, Start(7, 70, 6)).is_news);
    const std::string stored = counts.Encode();
    node::StartCounts again = node::StartCounts::Decode(stored).value();
    CHECK(again.Encode() == stored);
    CHECK(Check(again, Start(3, 30)) == Checked{Errc::kOk, false});
    CHECK(Check(again, Start(3, 31)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(again, Start(6, 60, 6)) == Checked{Errc::kDuplicateNode, false});
    CHECK(Check(again, Start(8, 80, 6)) == Checked{Errc::kOk, true});

    CHECK(node::StartCounts::Decode("").has_value());
    for (size_t size : {size_t{1}, stored.size() - 1, stored.size() / 2 + 1, size_t{1} << 20}) {
      std::string cut = stored;
      cut.resize(size);
      const auto decoded = node::StartCounts::Decode(cut);
      REQUIRE_FALSE(decoded.has_value());
      CHECK(decoded.error() == Errc::kCorrupt);
      CHECK(decoded.error().message().find("readmit") != std::string::npos);
    }
  }

  TEST_CASE("a restored backup is refused, also by a node that has been started since it heard of the later start") {
    Forming forming;
    for (uint64_t id : {1, 2, 3}) forming.Start(id);
    Cluster& cluster = forming.cluster;
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
    Cluster::Node& restored = cluster.At(3);
    const std::string backup = restored.storage->Store().Get(node::kIdentityKey).value();
    cluster.Restart(restored);
    cluster.Restart(restored);
    Identity second = Start(2, 0);
    second.node = NodeId(3);
    second.incarnation = core::Configuration::Decode(forming.Written(3)).value().Find(NodeId(3))->incarnation;
    cluster.Until("node 1 to have stored the third start",
                  [&] { return KnowsLaterThan(*cluster.At(1).storage, second); });
    for (Cluster::Node& node : cluster.nodes) node.raft.reset();
    cluster.Restart(cluster.At(1));
    REQUIRE(restored.storage->Store().Set(node::kIdentityKey, backup).has_value());
    cluster.Restart(restored);  // its second start, once more
    cluster.Until("it to be refused", [&] { return restored.raft->Status().is_stopped; });
    const Error reason = restored.raft->Status().stop_reason;
    CHECK(reason == Errc::kDuplicateNode);
    CHECK(reason.message().find("node 1 knows a later start of this data directory") != std::string::npos);
    CHECK(reason.message().find("copy or a restored backup") != std::string::npos);

    // For good, though each start raises the count: nobody who starts it again and again gets it in.
    restored.raft.reset();
    for (int i = 0; i < 3; ++i) CHECK(IsRefused(restored, "knows a later start of this data directory"));

    forming.StartEmptied(3);
    cluster.Restart(cluster.At(2));
    cluster.Until("a leader to know of it", [&] { return forming.IsToBeReadmitted(3); });
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    REQUIRE(forming.Readmit(3) == Errc::kOk);
    cluster.Until("its log", [&] { return restored.machine->applied.size() == 2; });
  }

  TEST_CASE("a copy that is started elsewhere beside its original is refused, and the original goes on") {
    Forming forming;
    for (uint64_t id : {1, 2, 3}) forming.Start(id);
    Cluster& cluster = forming.cluster;
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "a").has_value());
    Cluster::Node& original = cluster.At(3);
    cluster.Until("its log", [&] { return original.machine->applied.size() == 1; });
    cluster.nodes.emplace_back();
    Cluster::Node& copy = cluster.nodes.back();
    copy.options = original.options;
    copy.options.addr = PeerAt(9).addr;
    copy.options.initial_members.clear();  // they are in its log
    copy.storage = CopyOf(*original.storage);
    cluster.Restart(copy);
    cluster.Until("it to be refused", [&] { return copy.raft->Status().is_stopped; });
    const Error reason = copy.raft->Status().stop_reason;
    CHECK(reason == Errc::kDuplicateNode);
    CHECK(reason.message().find("node 3 runs at 127.0.0.1:7103 already, and this one at 127.0.0.1:7109 would be its "
                                "copy") != std::string::npos);
    REQUIRE(cluster.Handle(*cluster.WaitForLeader().raft, "b").has_value());
    cluster.Until("its log", [&] { return original.machine->applied.size() == 2; });
    CHECK_FALSE(original.raft->Status().is_stopped);
    // It lacks what the original has done since, so it is no use to stop that now.
    copy.raft.reset();
    original.raft.reset();
    CHECK(IsRefused(copy, "node 3 runs at 127.0.0.1:7103 already"));
  }
}
