// The state of one server (paper, Figure 2) and the steps that its events share. Private to the core. Which file has
// what:
//
//   core.cc          construction, looking, time      follower_log.cc  appends as a follower
//   election.cc      standing for election            leader.cc        proposals, becoming and ceasing to be leader
//   votes.cc         voting for others                replication.cc   appends as the leader
//   commit.cc        commit, apply, durability        membership.cc    configuration changes
//   transfer.cc      handing leadership over          catch_up.cc      new voters, before they vote
//   disk.cc          stalled disks
//   invariants.cc    what always holds
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

// Terms and indexes beyond this come from no honest peer; below it, nothing that the core adds can overflow (I9).
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;

// The roles (paper, Figure 4), with the pre-candidate of §9.6. What only one role needs lives and dies with it.
//
//                  time-out              majority of pre-votes           majority of votes
//   [ follower ] -------------> [ pre-candidate ] -------------> [ candidate ] -------------> [ leader ]
//     ^  ^  ^                     |        ^                       |      |                       |
//     |  |  +--- round lost ------+        +------ time-out -------+      |                       |
//     |  +------ round lost ---------------------------------------------+                       |
//     +--------- higher term, a leader's append; for a leader also: no quorum answers, or removed --+
struct Following {};

// A pre-vote (kPreCandidate) or an election (kCandidate).
struct Candidacy {
  VoteTicket ticket;
  WriteNumber own_vote = 0;  // our vote for ourselves counts when this write is durable; 0 for a pre-vote
  std::map<NodeId, uint64_t> granted;  // and by which data directory
  std::set<NodeId> refused;
  bool is_transfer = false;
  std::optional<VoteRound> round;  // until it is taken
};

constexpr int kLongestPause = 20;  // election time-outs between attempts to hand over that come to nothing

// §3.10. While there is one, the driver proposes nothing.
struct Transfer {
  NodeId to;
  TimePoint deadline;
  Index told;  // when `to` was asked to stand, the log ended here; 0: it was not
  bool is_yield = false;  // to a higher priority, which nobody has asked for
};

// §4.2.1. A change whose new voters do not have the log yet. Nothing of it is in the log.
struct CatchUp {
  Configuration next;        // to be appended then
  std::vector<Peer> voters;  // who catch up; some may be learners already
  std::shared_ptr<ConfigChangeState> state;
  int round = 1;
  Index target;  // what the log was when the round began
  TimePoint began;
};

struct Leadership {
  Index first_index;                 // of our no-op, the first entry of our term
  TimePoint quorum_check_at;         // not before this does a majority become silent (§6.2)
  std::map<NodeId, Progress> peers;  // all members but ourselves, and those that catch up
  uint64_t last_sequence = 0;        // of all appends of this leadership, whoever they went to
  std::optional<Transfer> transfer{};
  std::optional<CatchUp> catch_up{};
  TimePoint yield_at{};    // looks then for a voter of a higher priority
  Duration yield_pause{};  // between two attempts to hand over to one
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
  bool MayStand() const;
  void ResetElectionTimer();
  void BecomeFollower(Term new_term, NodeId new_leader);
  enum class Reason { kTimeOut, kTransfer };
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
  // Follows the newest configuration, and those that catch up, with the peers of the leadership.
  void UpdatePeers();

  // --- replication.cc ---
  Progress* FindPeer(NodeId peer);
  bool GetsLog(const Progress& progress) const;
  Index SendableTo(const Progress& progress) const;  // up to where it may have the log now
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
  // Any batch that extends the log, of whatever origin.
  void AppendToLog(const BatchRef& batch);
  void TruncateLogAfter(Index index);

  // --- membership.cc ---
  void AppendConfigurations(const BatchRef& batch);
  Error NotLeader() const;
  Error WhyNoChange() const;  // kOk if a change may begin
  // kOk if there is a reason for it, or none is asked for.
  Error WhyNoReadmission(const ConfigChange& change, const Configuration& next) const;
  Error WhyNoMajority(const Configuration& next) const;  // kOk if a majority of the voters of C(new) answers
  void FillDirectories(Configuration& next) const;
  void AppendConfiguration(const Configuration& configuration, ConfigChangeState& state);
  // What a committed configuration asks of the leader: C(new) behind C(old,new), or to leave.
  void OnCommittedAsLeader();
  bool IsToLeave() const;  // a leader that the newest configuration, which is committed, does not let vote
  void Leave();

  // --- catch_up.cc ---
  void FollowCatchUp();
  void EndCatchUp(Error why);
  Error WhyUnfit(const CatchUp& catch_up) const;  // kOk if all of them may become what they shall
  void BeginChange();
  void GiveSlowVotersUp();
  void GiveSilentVotersUp();
  TimePoint SilenceDeadline() const;  // of those that catch up
  bool CatchesUp(NodeId id) const;
  std::vector<Peer> MembersAndJoining() const;  // ascending

  // --- transfer.cc ---
  bool MayTakeOver(const AppendEntriesArgs& args) const;
  bool IsNear(const Progress& progress) const;
  NodeId FindSuccessor() const;
  void BeginTransfer(NodeId to, TimePoint deadline);
  TimePoint NextYield() const;
  void YieldToHigherPriority();
  void GiveTransferUp();

  // --- disk.cc ---
  void FollowDisk(bool has_written);  // looks how long writes take
  void OnDiskTick();
  TimePoint NextDiskTick() const;
  bool MayStandOnDisk() const;

  // --- commit.cc ---
  void MaybeCommit();
  void AdvanceCommit(Index index);
  void EvictTail() { tail.Evict(options.cached_tail_bytes, persistence.durable_index()); }

  // --- invariants.cc ---
  void CheckLog() const;
  void CheckRole() const;
  void CheckProgress(const Leadership& leading) const;
  void CheckHistoryOfChecks();

  const CoreOptions options;
  Random time_outs;  // of elections
  TimePoint now;     // the latest that we were told

  // Persistent on all servers (Figure 2), as decided; what of it is durable, `persistence` knows.
  Term term;
  NodeId vote;  // 0: none in this term
  TermHistory history;
  LogTail tail;
  AppendHistory appends;
  ConfigurationHistory configurations;
  Persistence persistence;

  // Volatile on all servers.
  Index commit_index;
  Index applied_index;  // confirmed by the driver; <= taken_index
  Index taken_index;    // handed to the driver; <= commit_index
  NodeId leader;        // of `term`, as far as known; 0 otherwise
  Index verified;       // the log up to here is the leader's of `term`; it may not contradict itself
  std::optional<TimePoint> leader_contact;  // when we last heard from the leader of `term`
  TimePoint withholds_vote_until;           // after a restart
  TimePoint election_deadline;
  TimePoint led_by_somebody;  // when we heard of a leader last, or led

  // While the disk is stalled.
  struct Stall {
    int good_writes = 0;  // in a row
    TimePoint look_at;    // write again then, if nothing else does
    TimePoint hand_over_at;
    Duration pause{};  // before the next attempt to hand over
  };
  std::optional<Stall> stall;
  uint64_t last_round = 0;
  uint64_t peers_version = 0;
  std::variant<Following, Candidacy, Leadership> role;

  // What the last CheckInvariants saw: some things only grow.
  struct Checked {
    Term term;
    NodeId vote;
    Index commit_index;
    Term commit_term;
    Index applied_index;
  } checked;
};

}  // namespace ringraft::core
