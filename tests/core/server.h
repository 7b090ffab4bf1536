// One core with a disk, for tests that play all other servers. Time stands still until a test advances it, and nothing
// becomes durable until a test says so.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core_driver/driven_core.h"
#include "core_driver/fixtures.h"

namespace ringraft::core {

struct ServerSpec {
  uint64_t self = 1;
  Configuration configuration = MakeConfiguration({1, 2, 3});
  std::vector<uint64_t> terms = {1};  // of entries 1, 2, ...; each a batch of its own, the first the configuration
  uint64_t term = 0;                  // of the hard state; 0: the last entry's
  uint64_t vote = 0;
  uint64_t applied = 0;
};

class Server : public DrivenCore {
 public:
  explicit Server(const ServerSpec& spec = {}, std::optional<CoreOptions> options = std::nullopt);
  static Server Empty(uint64_t self);  // its disk is empty

  // Takes all writes and makes them durable.
  void Persist();
  // Takes all writes, which become durable later.
  void Take() { TakeWrites(now); }
  void FinishOne();  // the oldest taken write
  // A new core from what is durable.
  void Restart(Index applied = Index(0));

  void Advance(Duration duration) { now += duration; }
  // Advances time until the core begins a pre-vote, and takes the round.
  VoteRound TimeOut();
  // Through pre-vote and election, with the votes of the given servers.
  void Win(std::initializer_list<uint64_t> voters = {2});
  // Wins, and has the no-op committed by `voters`.
  void Lead(std::initializer_list<uint64_t> voters = {2});

  AppendEntriesArgs AppendArgs(uint64_t leader, uint64_t term, uint64_t prev_index, uint64_t prev_term,
                               std::vector<BatchRef> entries = {}, uint64_t commit = 0) const;
  // Receives, persists, replies.
  AppendEntriesResults Append(const AppendEntriesArgs& args);
  RequestVoteArgs VoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const;
  RequestVoteArgs PreVoteArgs(uint64_t candidate, uint64_t term, uint64_t last_index, uint64_t last_term) const;
  RequestVoteResults Vote(const RequestVoteArgs& args);

  BatchRef Propose(uint32_t count = 1, const std::string& text = "x");
  // The next append to a peer, with entries read from the disk where necessary. Null if there is none.
  std::optional<AppendRequest> NextAppend(uint64_t peer);
  // The peer has all entries of this append on its disk.
  void Acknowledge(const AppendRequest& request);
  void Refuse(const AppendRequest& request, uint64_t hint_index, uint64_t hint_term);
  // The peer gets and acknowledges all entries.
  void Replicate(uint64_t peer);
  // What peers report with each heartbeat reply.
  struct Reports {
    uint8_t priority = 0;
    bool is_disk_stalled = false;
  };
  // Time passes in steps of 10 ms, with ticks when they are due. If it leads, 2 and 3 reply to its heartbeats.
  void Pass(Duration duration, Reports two, Reports three, std::set<uint64_t> responsive = {2, 3});
  void Pass(Duration duration) { Pass(duration, Reports(), Reports()); }
  // The peer replies to one heartbeat.
  void AnswerHeartbeat(uint64_t peer, Reports reports);
  void AnswerHeartbeat(uint64_t peer) { AnswerHeartbeat(peer, Reports()); }
  // What src/node does: a tick first, so that new members count as in contact from now on.
  Result<ConfigTicket> ProposeConfig(const ConfigChange& change);
  std::vector<uint64_t> Terms();  // of the log in memory

  std::map<uint64_t, uint64_t> directories;  // that the peers reply from; 0: they do not name one
  std::set<uint64_t> witnesses;              // peers with the directory of a witness
  CoreOptions options;
  TimePoint now{std::chrono::hours(1)};
};

// The leader brings one follower up to date, message by message. Returns the number of refused appends.
size_t BringUpToDate(Server& leader, Server& follower);

}  // namespace ringraft::core
