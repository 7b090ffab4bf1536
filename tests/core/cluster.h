// A whole cluster of Cores, run from one seed: virtual time, a network that delays, drops, repeats and reorders, disks
// that take their time, crashes that lose what is not durable. After every event the invariants of the core and of the
// paper's Figure 3 are checked. The driving code does what src/node does, and no more.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server.h"

namespace ringraft::core {

struct ClusterOptions {
  uint64_t seed = 1;
  uint64_t servers = 3;  // ids 1 .. servers
  uint64_t initial = 3;  // so many are in the first configuration; the others have empty disks
  double drop = 0;
  double repeat = 0;
  Duration least_delay = 100 * std::chrono::microseconds(1);
  Duration most_delay = 2 * kMs;
  Duration most_write_time = 2 * kMs;
  Duration call_timeout = 100 * kMs;
  bool durable_machine = false;  // applies only what is durable, and remembers over crashes how far it got
  std::function<void(CoreOptions&)> adjust;
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);

  // Runs the next event. Fails the test if an invariant is broken.
  void Step();
  void RunFor(Duration duration);
  // False if the condition does not come true within `limit` of virtual time.
  bool RunUntil(const std::function<bool()>& condition, Duration limit);

  void Crash(uint64_t id);
  void Start(uint64_t id);
  bool IsUp(uint64_t id) const { return nodes_.at(id).core != nullptr; }
  Core& core(uint64_t id) { return *nodes_.at(id).core; }
  const Disk& disk(uint64_t id) const { return nodes_.at(id).disk; }
  // One direction, or both.
  void Cut(uint64_t from, uint64_t to) { cut_.insert({from, to}); }
  void CutBoth(uint64_t a, uint64_t b) { Cut(a, b), Cut(b, a); }
  void HealNetwork() { cut_.clear(); }
  void MakeReliable() { options_.drop = options_.repeat = 0; }

  uint64_t Leader() const;    // of the newest term among those that are up; 0 if none
  bool Propose(uint64_t id);  // false if it is no leader
  Result<void> Transfer(uint64_t id, uint64_t to);  // within 300 ms
  Result<ConfigTicket> ChangeConfig(uint64_t id, std::vector<Peer> added, std::vector<NodeId> removed);
  void Pump(uint64_t id);  // after a call on `core(id)`

  uint64_t Draw(uint64_t n);  // 0 .. n - 1
  TimePoint now() const { return now_; }
  uint64_t servers() const { return options_.servers; }
  Index committed() const { return Index(committed_.size()); }
  size_t leaderships() const { return leader_of_term_.size(); }
  Term newest_term() const;
  // Everything at rest: all logs of the members are the same, committed, applied, and nothing is in flight (B12).
  bool IsSettled();
  void CheckLogMatching() const;

 private:
  struct Waiting {
    WriteNumber gate = 0;
    std::function<void()> action;
  };
  struct Node {
    std::unique_ptr<Core> core;  // null while it is down
    uint64_t life = 0;           // raised by each start and crash: events of earlier lives are void
    Disk disk;
    Index machine;  // durably applied, with durable_machine
    std::deque<Write> writing;
    std::vector<Waiting> waiting;
    std::set<uint64_t> probing;  // peers to which a call failed: the next append waits a little
    TimePoint tick = TimePoint::max();
    Index applied;
    Term led_term;
  };

  void At(TimePoint when, uint64_t id, std::function<void()> action);  // void if `id` has another life by then
  void Send(uint64_t from, uint64_t to, std::function<void()> deliver);
  Duration RandomDelay();
  void WhenDurable(uint64_t id, WriteNumber gate, std::function<void()> action);
  void StartWrite(uint64_t id);
  void FinishWrite(uint64_t id);
  void SendVotes(uint64_t id, const VoteRound& round);
  void SendAppends(uint64_t id, uint64_t peer);
  void SendAppend(uint64_t id, const AppendRequest& request);
  void Heartbeat(uint64_t id, Term term);
  void Apply(uint64_t id);
  void ApplyBatches(uint64_t id, const std::vector<BatchRef>& batches);
  void Observe(uint64_t id);
  void ObserveCommit(uint64_t id);

  struct Committed {
    Term term;
    Term by;  // the newest term that can have committed it: the observer's
  };

  ClusterOptions options_;
  uint64_t random_;
  TimePoint now_{std::chrono::hours(1)};
  uint64_t last_event_ = 0;
  std::map<std::pair<TimePoint, uint64_t>, std::function<void()>> events_;
  std::map<uint64_t, Node> nodes_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;
  std::map<Term, uint64_t> leader_of_term_;
  std::map<std::pair<uint64_t, Term>, uint64_t> votes_;  // granted on the wire: (voter, term) -> candidate
  std::vector<Committed> committed_;                     // of entry i + 1
  std::vector<std::string> applied_;                     // what any machine applied as entry i + 1
  uint64_t proposals_ = 0;
};

}  // namespace ringraft::core
