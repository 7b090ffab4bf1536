// A whole cluster of cores, run from one seed: virtual time; a network that delays, drops, repeats and reorders; slow
// disks; crashes that lose what is not durable. After every event the invariants of the core and of the paper's Figure
// 3 are checked.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core_driver/driver.h"

namespace ringraft::core {

struct ClusterOptions {
  uint64_t seed = 1;
  uint64_t servers = 3;  // ids 1 .. servers
  uint64_t initial = 3;  // members of the first configuration; the other servers have empty disks
  double drop = 0;
  double repeat = 0;
  Duration least_delay = 100 * std::chrono::microseconds(1);
  Duration most_delay = 2 * kMs;
  Duration most_write_time = 2 * kMs;
  Duration call_timeout = 100 * kMs;
  bool durable_machine = false;  // applies only durable entries, and remembers the last one over crashes
  std::function<void(CoreOptions&)> adjust;
};

class Cluster : private Driver {
 public:
  explicit Cluster(ClusterOptions options);

  // Runs the next event. Fails the test if an invariant is broken.
  void Step();
  void RunFor(Duration duration);
  // Returns false if the condition does not become true within `limit` of virtual time.
  bool RunUntil(const std::function<bool()>& condition, Duration limit);

  void Crash(uint64_t id);
  void Start(uint64_t id);
  bool IsUp(uint64_t id) const { return driven(id).IsUp(); }
  Core& core(uint64_t id) { return *driven(id).core; }
  // One direction, or both.
  void Cut(uint64_t from, uint64_t to) { cut_.insert({from, to}); }
  void CutBoth(uint64_t a, uint64_t b) { Cut(a, b), Cut(b, a); }
  using Links = std::set<std::pair<uint64_t, uint64_t>>;
  void CutAllBut(const Links& links);  // of servers a < b
  void Isolate(uint64_t id);           // both directions of all its links
  void HealNetwork() { cut_.clear(); }
  void MakeReliable() { options_.drop = options_.repeat = 0; }

  uint64_t Leader() const;                          // of the newest term among those that are up; 0 if none
  bool Propose(uint64_t id);                        // returns false if it is not a leader
  Result<void> Transfer(uint64_t id, uint64_t to);  // within 300 ms
  Result<ConfigTicket> ChangeConfig(uint64_t id, const std::vector<Peer>& added, const std::vector<NodeId>& removed);
  void Pump(uint64_t id);  // after a call on `core(id)`

  uint64_t Draw(uint64_t n);  // 0 .. n - 1
  TimePoint now() const { return now_; }
  uint64_t servers() const { return options_.servers; }
  Index committed() const { return oracle_.committed(); }
  size_t leaderships() const { return oracle_.leaderships(); }
  Term newest_term() const;
  // All members have the same log, committed and applied, and nothing is in flight (hazard B12).
  bool IsSettled() const { return Leader() != 0 && Unrest(Leader()).empty(); }
  void CheckLogMatching();

 private:
  struct Node : DrivenCore {
    std::set<uint64_t> probing;  // peers to which a call failed: the next append is delayed
    TimePoint tick = TimePoint::max();
    Term led_term;
  };

  // Runs `action` at `when`, unless `id` has crashed or restarted by then.
  void At(TimePoint when, uint64_t id, std::function<void()> action);
  void Send(Message message) override;
  void Receive(const Message& message);
  Duration RandomDelay();
  void StartWrite(uint64_t id);
  void FinishWrite(uint64_t id);
  void SendAppends(uint64_t id, uint64_t peer);
  void SendTimedAppend(uint64_t id, const AppendRequest& request);
  void Heartbeat(uint64_t id, Term term);
  void Observe(uint64_t id);
  void CheckRules() const;

  ClusterOptions options_;
  uint64_t random_;
  uint64_t last_event_ = 0;
  std::map<std::pair<TimePoint, uint64_t>, std::function<void()>> events_;
  std::map<uint64_t, Node> nodes_;
  Links cut_;
  uint64_t proposals_ = 0;
};

}  // namespace ringraft::core
