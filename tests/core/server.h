// One Core with a disk, for tests that play everybody else. Time stands still until a test moves it, and nothing
// becomes durable until a test says so.
#pragma once

#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/core.h"

namespace ringraft::core {

constexpr Duration kMs = std::chrono::milliseconds(1);
inline const GroupId kGroup(7);

inline Peer MakePeer(uint64_t id) { return Peer(NodeId(id), Addr("127.0.0.1:" + std::to_string(7100 + id))); }
Configuration MakeConfiguration(std::initializer_list<uint64_t> voters,
                                std::initializer_list<uint64_t> old_voters = {});

ConfigChange Change(const std::vector<Peer>& added, const std::vector<NodeId>& removed);

// A batch of `count` commands.
BatchRef Commands(uint64_t first, uint64_t term, uint32_t count, uint64_t leader, const std::string& text = "x");
BatchRef ConfigurationBatch(uint64_t index, uint64_t term, const Configuration& configuration, uint64_t leader);

// What Storage does, without a file.
class Disk {
 public:
  void Commit(const Write& write);
  RecoveredLog Recover() const;
  std::vector<BatchRef> Read(Index from, size_t max_bytes) const;
  const TermHistory& history() const { return history_; }
  const HardState& hard_state() const { return hard_state_; }
  const std::vector<BatchRef>& batches() const { return batches_; }

 private:
  HardState hard_state_;
  std::vector<BatchRef> batches_;
  TermHistory history_;
};

CoreOptions TestOptions(uint64_t self);

struct ServerSpec {
  uint64_t self = 1;
  Configuration configuration = MakeConfiguration({1, 2, 3});
  std::vector<uint64_t> terms = {1};  // of the entries 1, 2, ...; each a batch of its own, the first the configuration
  uint64_t term = 0;                  // of the hard state; 0: the last entry's
  uint64_t vote = 0;
  uint64_t applied = 0;
};

class Server {
 public:
  explicit Server(const ServerSpec& spec = {}, std::optional<CoreOptions> options = std::nullopt);
  static Server Empty(uint64_t self);  // nothing on its disk

  Core* operator->() { return core.get(); }

  // Takes all writes and makes them durable.
  void Persist();
  // Takes all writes, and lets the disk have them later.
  void Take();
  void FinishOne();  // the oldest taken write
  // A new Core from what is durable.
  void Restart(Index applied = Index(0));

  void Advance(Duration duration) { now += duration; }
  // Moves time on until the core starts a round of the given kind, and takes it.
  VoteRound TimeOut();
  // Through pre-vote and election, with the votes of the given servers.
  void Win(std::initializer_list<uint64_t> voters = {2});
  // Wins, and has the no-op committed by `voters`.
  void Lead(std::initializer_list<uint64_t> voters = {2});

  AppendEntriesArgs AppendArgs(uint64_t leader, uint64_t term, uint64_t prev_index, uint64_t prev_term,
                               std::vector<BatchRef> entries = {}, uint64_t commit = 0) const;
  // Receives, persists, answers.
  AppendEntriesResults Append(const AppendEntriesArgs& args);
  RequestVoteArgs VoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const;
  RequestVoteArgs PreVoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const;
  RequestVoteResults Vote(const RequestVoteArgs& args);

  BatchRef Propose(uint32_t count = 1, const std::string& text = "x");
  // The next append to a peer, with what it needs read from the disk. Null if there is none.
  std::optional<AppendRequest> NextAppend(uint64_t peer);
  // The peer has everything of this append, durably.
  void Acknowledge(const AppendRequest& request);
  void Refuse(const AppendRequest& request, uint64_t hint_index, uint64_t hint_term);
  // Everything up to the last index is sent to the peer and acknowledged.
  void Replicate(uint64_t peer);
  // What peers say of themselves with each heartbeat.
  struct Says {
    uint8_t priority = 0;
    bool is_disk_stalled = false;
  };
  // Time passes in steps of 10 ms, with ticks when they are due. Of a leader, 2 and 3 answer the heartbeats.
  void Pass(Duration duration, Says two, Says three, std::set<uint64_t> who_answers = {2, 3});
  void Pass(Duration duration) { Pass(duration, Says(), Says()); }
  std::vector<uint64_t> Terms();  // of the log in memory

  std::map<uint64_t, uint64_t> directories;  // that the peers answer from; 0: they do not say
  std::set<uint64_t> witnesses;              // whose directories are those of witnesses
  CoreOptions options;
  TimePoint now{std::chrono::hours(1)};
  Disk disk;
  std::deque<Write> taken;
  std::unique_ptr<Core> core;
};

// Lets the leader bring one follower up to date, message by message. Returns how many appends were refused.
size_t BringUpToDate(Server& leader, Server& follower);

}  // namespace ringraft::core
