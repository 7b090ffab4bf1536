// The state of one server (paper, Figure 2) and the steps that several events share. Private to the core. The files:
//
//   core.cc          construction, state, time        follower_log.cc  appends as a follower
//   election.cc      campaigning                      leader.cc        becoming leader, proposals, CheckQuorum
//   votes.cc         voting for others                replication.cc   appends as the leader
//   commit.cc        commit, apply, durability        membership.cc    configuration changes
//   transfer.cc      leadership transfer              catch_up.cc      new voters, before they vote
//   disk_health.cc   stalled disks                    invariants.cc    assertions between events
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <variant>

#include "core/append_history.h"
#include "core/configuration_history.h"
#include "core/core.h"
#include "core/log_tail.h"
#include "core/persistence.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/term_history.h"

namespace ringraft::core {

// No correct peer sends larger terms or indexes; up to here no addition in the core can overflow (hazard I9 in
// tests/CATALOGUE.md: terms and indexes near 2^64 from the network).
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

// The roles (paper, Figure 4), with the pre-candidate of §9.6. State that only one role needs is part of that role.
//
//                  timeout               majority of pre-votes           majority of votes
//   [ follower ] -------------> [ pre-candidate ] -------------> [ candidate ] -------------> [ leader ]
//     ^  ^  ^                     |        ^                       |      |                       |
//     |  |  +--- round lost ------+        +------ timeout --------+      |                       |
//     |  +------ round lost ---------------------------------------------+                       |
//     +--------- higher term, a leader's append; for a leader also: no quorum replies, or removed --+
struct Following {};

// A pre-vote (kPreCandidate) or an election (kCandidate).
struct Candidacy {
  VoteTicket ticket;
  WriteNumber own_vote = 0;  // the own vote counts when this write is durable; 0 for a pre-vote
  std::map<NodeId, uint64_t> granted;  // with the incarnation of the data directory that voted
  std::set<NodeId> refused;
  bool is_transfer = false;
  TimePoint began;                 // the round
  std::optional<VoteRound> round;  // until it is taken
};

constexpr int kLongestPause = 20;  // longest pause between unsuccessful transfers, in longest election timeouts

// A leadership transfer (§3.10). During one, the driver proposes nothing.
struct Transfer {
  NodeId to;
  TimePoint deadline;
  Index timeout_now_at;   // the last index when `to` was requested to campaign; 0: not yet requested
  bool is_yield = false;  // to a higher priority; no caller has requested it
};

// A change with new voters that do not have the log yet (§4.2.1). It is not in the log.
struct CatchUp {
  Configuration next;        // to be appended when they have caught up
  std::vector<Peer> voters;  // those that catch up; some may be learners already
  std::shared_ptr<ConfigChangeState> state;
  int round = 1;
  Index target;  // the last index when the round began
  TimePoint began;
};

struct Leadership {
  Index first_index;                 // of the no-op, the first entry of the term
  TimePoint quorum_check_at;         // no majority can have fallen silent before this (§6.2)
  std::map<NodeId, Progress> peers;  // the other members, and new voters that catch up
  uint64_t last_sequence = 0;        // of the appends of this leadership, to all peers together
  std::optional<Transfer> transfer{};
  std::optional<CatchUp> catch_up{};
  TimePoint yield_at{};    // next look for a voter of a higher priority
  Duration yield_pause{};  // between two transfers to one
};

struct Core::State {
  State(const CoreOptions& options, const RecoveredLog& recovered, Index applied, TimePoint now);

  // --- core.cc ---
  void See(TimePoint at) { now = std::max(now, at); }
  Role role_name() const;
  Leadership* leadership() { return std::get_if<Leadership>(&role); }
  const Leadership* leadership() const { return std::get_if<Leadership>(&role); }
  Candidacy* candidacy() { return std::get_if<Candidacy>(&role); }
  Index last_index() const { return history.last_index(); }
  const Configuration& configuration() const { return configurations.newest(); }
  const Peer* LeaderPeer() const { return leader ? configuration().Find(leader) : nullptr; }

  // --- election.cc ---
  bool MayCampaign() const;
  void ResetElectionTimer();
  void BecomeFollower(Term new_term, NodeId new_leader);
  enum class Reason { kTimeout, kTransfer };
  void BecomePreCandidate(Reason reason);
  void BecomeCandidate(Reason reason);
  void StartRound(bool pre_vote, Reason reason, WriteNumber own_vote);
  void CountVotes();
  void PersistHardState() { persistence.SetHardState(HardState{term, vote}); }

  // --- votes.cc ---
  bool MayLeaderBeAlive() const;
  bool IsHandedOver(const RequestVoteArgs& args) const;
  bool IsUpToDate(Index candidate_last, Term candidate_last_term) const;

  // --- leader.cc ---
  void BecomeLeader();
  bool QuorumHasFallenSilent();
  BatchRef AppendOwn(BatchBuilder& builder, int64_t append_time_ns);
  int64_t AppendTimeNow() const;
  std::vector<Peer> ReplicationPeers() const;
  // Makes the leadership's peers those of the newest configuration, and the new voters that catch up.
  void UpdatePeers();

  // --- replication.cc ---
  Progress* FindPeer(NodeId peer);
  bool GetsLog(const Progress& progress) const;
  Index SendableTo(const Progress& progress) const;  // the last index that may be sent to it now
  bool NeedsReadmission(const Progress& progress) const;
  bool Recognize(Progress& progress, const AppendEntriesResults& results);
  AppendRequest MakeAppend(const Progress& progress, Index prev_index) const;
  void Send(Progress& progress, PeerTicket& ticket);
  AppendRequest SendBatches(Progress& progress, std::vector<BatchRef> batches);
  AppendRequest SendEmpty(Progress& progress, TimePoint sent);
  std::vector<BatchRef> CollectBatches(Progress& progress) const;
  bool HandleReplyTerm(const PeerTicket& ticket, Term reply_term);
  void OnAppendSucceeded(Progress& progress, const PeerTicket& ticket, Index durable_match);
  void OnAppendRefused(Progress& progress, const PeerTicket& ticket, const ConflictHint& hint);

  // --- follower_log.cc ---
  Result<void> CheckAppend(const AppendEntriesArgs& args) const;
  Result<void> AppendFromLeader(const BatchRef& batch);
  // Appends a batch that extends the log: the leader's, or one of this server.
  void AppendToLog(const BatchRef& batch);
  void TruncateLogAfter(Index index);

  // --- membership.cc ---
  void AppendConfigurations(const BatchRef& batch);
  Error NotLeader() const;
  Error WhyNoChange() const;  // kOk if a change may begin
  // kOk if every member that the change readmits needs it.
  Error WhyNoReadmission(const ConfigChange& change, const Configuration& next) const;
  Error WhyNoMajority(const Configuration& next) const;  // kOk if a majority of the voters of C(new) is reachable
  void FillDirectories(Configuration& next) const;
  void AppendConfiguration(const Configuration& configuration, ConfigChangeState& state);
  // What a leader does when a configuration is committed: append C(new) after C(old,new), or leave.
  void OnCommittedAsLeader();
  bool IsToLeave() const;  // the newest configuration is committed and does not let this server vote
  void Leave();

  // --- catch_up.cc ---
  void FollowCatchUp();
  void EndCatchUp(Error why);
  Error WhyUnfit(const CatchUp& catch_up) const;  // kOk if each new voter runs with a suitable data directory
  void BeginChange();
  void RefuseSlowVoters();
  void RefuseSilentVoters();
  TimePoint SilenceDeadline() const;  // of the new voters that catch up
  bool CatchesUp(NodeId id) const;
  std::vector<Peer> MembersAndJoining() const;  // ascending

  // --- transfer.cc ---
  bool MayTakeOver(const AppendEntriesArgs& args) const;
  bool CampaignsFor(const AppendEntriesArgs& args) const;
  void BecomeSuccessor(std::optional<Candidacy> running);
  bool IsNear(const Progress& progress) const;
  NodeId FindSuccessor() const;
  void BeginTransfer(NodeId to, TimePoint deadline);
  TimePoint NextYield() const;
  void YieldToHigherPriority();
  void AbandonTransfer();

  // --- disk_health.cc ---
  void UpdateDiskHealth(bool has_written);
  void OnDiskHealthTick();
  TimePoint NextDiskHealthTick() const;
  bool IsDiskFitToCampaign() const;

  // --- commit.cc ---
  void MaybeCommit();
  void AdvanceCommit(Index index);
  void EvictTail() { tail.Evict(options.cached_tail_bytes, persistence.durable_index()); }

  // --- invariants.cc ---
  void CheckLog() const;
  void CheckRole() const;
  void CheckProgress(const Leadership& leading) const;
  void CheckMonotonic();

  const CoreOptions options;
  Random timeouts;  // draws election timeouts
  TimePoint now;    // the latest time that an input has carried

  // Persistent on all servers (Figure 2). `persistence` tracks how much of this is durable.
  Term term;
  NodeId vote;  // 0: none in this term
  TermHistory history;
  LogTail tail;
  AppendHistory appends;
  ConfigurationHistory configurations;
  Persistence persistence;

  // Volatile on all servers.
  Index commit_index;
  Index applied_index;  // confirmed by the driver. Invariant: <= taken_index
  Index taken_index;    // returned to the driver. Invariant: <= commit_index
  NodeId leader;        // of `term`; 0 if not known
  Index verified;       // the log up to here is that of the leader of `term`, which must not contradict it later
  std::optional<TimePoint> leader_contact;  // of the last append or heartbeat of the leader of `term`
  TimePoint withholds_vote_until;           // after a restart
  TimePoint election_deadline;
  TimePoint last_led;  // the last time when this server received an append of a leader, or was leader

  // Set while the disk is stalled.
  struct Stall {
    int good_writes = 0;    // in a row
    TimePoint probe_at;     // next test write, if there is no other write
    TimePoint transfer_at;  // next transfer of leadership
    Duration pause{};       // after it
  };
  std::optional<Stall> stall;
  uint64_t last_round = 0;
  uint64_t peers_version = 0;
  std::variant<Following, Candidacy, Leadership> role;

  // The state at the last CheckInvariants, for what may only grow.
  struct Checked {
    Term term;
    NodeId vote;
    Index commit_index;
    Term commit_term;
    Index applied_index;
  } checked;
};

}  // namespace ringraft::core
