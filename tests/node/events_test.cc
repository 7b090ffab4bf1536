// The events of a node, as a callback and as a stream.
#include "node/events.h"

#include <map>

#include "cluster.h"
#include "support.h"

using namespace ringraft;
using namespace ringraft::test;
using namespace std::chrono_literals;

namespace {

// Three nodes with callbacks that record the events.
struct RecordingCluster {
  std::map<uint64_t, std::vector<Event>> seen;
  Cluster cluster{3, Setup{[this](Options& options) {
                    options.on_event = [this](const Event& event) { seen[event.id.value()].push_back(event); };
                  }}};

  bool Has(uint64_t id, const std::function<bool(const Event&)>& what) const {
    const auto of = seen.find(id);
    return of != seen.end() && std::any_of(of->second.begin(), of->second.end(), what);
  }
};

Owned ReadAll(EventStream& stream, HandleOptions options, std::vector<std::string>& texts, bool& has_ended) {
  for (;;) {
    auto next = stream.Next(options);
    const Result<Event> event = co_await next;
    if (!event) {
      CHECK(event.error() == Errc::kStopped);
      break;
    }
    texts.push_back(ToString(event.value()));
  }
  has_ended = true;
}

Owned ReadOne(EventStream& stream, std::optional<Result<Event>>& event) {
  auto next = stream.Next();
  event = co_await next;
}

std::vector<std::string> Texts(const std::vector<Event>& events) {
  std::vector<std::string> texts;
  for (const Event& event : events) texts.push_back(ToString(event));
  return texts;
}

Event Numbered(uint64_t number) {
  Event event;
  event.term = Term(number);
  return event;
}

// A leader of term 5 with the peers 2 and 3.
RaftStatus LeaderStatus() {
  RaftStatus status;
  status.id = NodeId(1);
  status.role = Role::kLeader;
  status.term = Term(5);
  status.leader = PeerAt(1);
  status.configuration_index = Index(3);
  status.commit_index = Index(9);
  for (uint64_t id : {1, 2, 3}) {
    PeerStatus peer;
    peer.peer = PeerAt(id);
    peer.is_reachable = true;
    status.peers.push_back(peer);
  }
  return status;
}

}  // namespace

TEST_SUITE("node/events") {
  TEST_CASE("each change of the status is one event, with its line of text; no change is none") {
    std::vector<Event> seen;
    node::Events events([&](const Event& event) { seen.push_back(event); });
    const auto after = [&](const RaftStatus& status) {
      seen.clear();
      events.Follow(status);
      return Texts(seen);
    };
    using Lines = std::vector<std::string>;
    RaftStatus status = LeaderStatus();
    CHECK(after(status) == Lines{"node 1: leader in term 5", "node 1: is leader of term 5",
                                 "node 1: the configuration at index 3 is committed"});
    CHECK(after(status).empty());
    status.commit_index = status.last_index = Index(50);
    CHECK(after(status).empty());

    status.peers[1].is_reachable = false;
    CHECK(after(status) == Lines{"node 1: node 2 at 127.0.0.1:7102 is unreachable"});
    status.peers.erase(status.peers.begin() + 2);
    status.configuration_index = Index(60);
    status.is_joint = true;
    CHECK(after(status) == Lines{"node 1: the configuration at index 60 is the newest, and joint"});
    status.commit_index = Index(60);
    status.peers[1].is_reachable = true;
    CHECK(after(status) == Lines{"node 1: the configuration at index 60 is committed, and joint",
                                 "node 1: node 2 at 127.0.0.1:7102 is reachable"});
    status.peers[1].needs_readmission = true;
    CHECK(after(status) ==
          Lines{"node 1: node 2 at 127.0.0.1:7102 runs on another data directory: readmit it if its own is lost"});
    status.is_disk_stalled = true;
    CHECK(after(status) == Lines{"node 1: its disk is stalled"});

    status.role = Role::kFollower;
    status.leader = PeerAt(2);
    status.term = Term(6);
    CHECK(after(status) == Lines{"node 1: follower in term 6", "node 1: follows node 2 in term 6"});
    status.term = Term(7);
    CHECK(after(status) == Lines{"node 1: follows node 2 in term 7"});
    status.leader.reset();
    status.is_disk_stalled = false;
    CHECK(after(status) == Lines{"node 1: does not know of a leader in term 7", "node 1: its disk has recovered"});
    events.End(status, Error(Errc::kIo, "no disk"));
    CHECK(ToString(seen.back()) == "node 1: stopped: no disk");
  }

  TEST_CASE("a stream that is not read keeps the newest events, and counts the lost ones") {
    node::EventQueue queue;
    const uint64_t most = node::EventQueue::kMost;
    for (uint64_t i = 1; i <= most + 7; ++i) CHECK_FALSE(queue.Put(Numbered(i)).has_value());
    Event first = queue.Take().value();
    CHECK(first.term == Term(8));
    CHECK(first.lost == 7);
    CHECK(queue.Take().value().lost == 0);
    for (uint64_t i = 2; i < most; ++i) REQUIRE(queue.Take().has_value());
    CHECK_FALSE(queue.Take().has_value());
    CHECK_FALSE(queue.IsReady());
    queue.End();
    CHECK(queue.IsReady());
  }

  TEST_CASE("a cluster reports its leader, members, unreachable peers, and its end, by callback and stream alike") {
    RecordingCluster of;
    Cluster& cluster = of.cluster;
    std::map<uint64_t, std::vector<std::string>> read;
    std::map<uint64_t, bool> has_ended;
    std::vector<EventStream> streams;
    for (auto& node : cluster.nodes) streams.push_back(node.raft->Events());
    std::vector<Owned> readers;
    for (uint64_t id = 1; id <= 3; ++id)
      readers.push_back(ReadAll(streams[id - 1], HandleOptions(), read[id], has_ended[id]));

    const uint64_t leader = cluster.WaitForLeader().options.id.value();
    const uint64_t other = leader % 3 + 1;
    REQUIRE(cluster.Handle(*cluster.At(leader).raft, "a").has_value());
    CHECK(of.Has(leader, [](const Event& e) { return e.kind == EventKind::kRole && e.role == Role::kLeader; }));
    CHECK(of.Has(leader, [](const Event& e) { return e.kind == EventKind::kLeader && e.leader->id == e.id; }));
    CHECK(of.Has(leader, [](const Event& e) { return e.kind == EventKind::kMembers && e.is_committed; }));
    cluster.Until("the other to follow", [&] {
      return of.Has(other, [&](const Event& e) {
        return e.kind == EventKind::kLeader && e.leader && e.leader->id == NodeId(leader);
      });
    });

    const auto peer_event = [&](bool is_reachable) {
      return [is_reachable, other](const Event& e) {
        return e.kind == EventKind::kPeer && e.peer.id == NodeId(other) && e.is_reachable == is_reachable;
      };
    };
    CHECK_FALSE(of.Has(leader, peer_event(false)));
    cluster.network.Cut(cluster.At(other).options.addr);
    cluster.Until("the other to be missed", [&] { return of.Has(leader, peer_event(false)); });
    cluster.network.Heal(cluster.At(other).options.addr);
    cluster.Until("the other to be back", [&] { return of.Has(leader, peer_event(true)); });

    for (auto& node : cluster.nodes) node.raft->Stop();
    cluster.Until("all to stop", [&] { return has_ended[1] && has_ended[2] && has_ended[3]; });
    for (uint64_t id = 1; id <= 3; ++id) {
      CAPTURE(id);
      CHECK(read[id] == Texts(of.seen[id]));
      CHECK(read[id].back() == "node " + std::to_string(id) + ": stopped");
    }
    std::optional<Result<Event>> late;
    EventStream opened_late = cluster.At(1).raft->Events();
    Owned reader = ReadOne(opened_late, late);
    REQUIRE(late.has_value());
    CHECK(late->error() == Errc::kStopped);
  }

  TEST_CASE("a reader destroyed while it waits for an event consumes none") {
    RecordingCluster of;
    EventStream stream = of.cluster.nodes[0].raft->Events();
    std::optional<Result<Event>> never, first, second;
    Owned dead = ReadOne(stream, never);
    dead.Destroy();
    Owned reader = ReadOne(stream, first);
    of.cluster.WaitForLeader();
    of.cluster.Until("an event", [&] { return first.has_value(); });
    CHECK_FALSE(never.has_value());
    REQUIRE(first->has_value());
    CHECK(ToString(first->value()) == ToString(of.seen[1].front()));
    Owned again = ReadOne(stream, second);
    of.cluster.Until("another event", [&] { return second.has_value(); });
    CHECK(ToString(second->value()) == ToString(of.seen[1][1]));
  }

  TEST_CASE("a second Next ends the first with an error; a stream may be destroyed while its Next waits") {
    RecordingCluster of;
    std::optional<EventStream> stream = of.cluster.nodes[0].raft->Events();
    std::optional<Result<Event>> first, second;
    Owned one = ReadOne(*stream, first);
    Owned two = ReadOne(*stream, second);
    REQUIRE(first.has_value());
    CHECK(first->error() == Errc::kInvalidArgument);
    stream.reset();
    of.cluster.WaitForLeader();
    of.cluster.Until("an event", [&] { return second.has_value(); });
    CHECK(second->has_value());
  }

  TEST_CASE("an event resumes its reader through the reader's executor") {
    RecordingCluster of;
    EventStream stream = of.cluster.nodes[0].raft->Events();
    QueueExecutor executor;
    std::vector<std::string> texts;
    bool has_ended = false;
    Owned reader = ReadAll(stream, HandleOptions().On(executor), texts, has_ended);
    of.cluster.WaitForLeader();
    of.cluster.Until("a resumption", [&] { return executor.size() == 1; });
    CHECK(texts.empty());
    executor.RunOne();
    CHECK_FALSE(texts.empty());
    for (auto& node : of.cluster.nodes) node.raft->Stop();
    of.cluster.Until("the end", [&] {
      executor.RunOne();
      return has_ended;
    });
  }
}
