// The protocol, and nothing else: no I/O, clock, coroutine or thread. Time, randomness (a seed) and "this write is
// durable" are inputs. No call blocks. The driver reports what happened (`OnX`) and asks what to do (`NextX`).
//
// Rules for the driver (src/node):
//  1. After any `On...` or `Propose...`, take `NextWrite` while `HasWrite`, and pass them on to the storage, in order.
//  2. A reply or request with a `gate` is sent only when the write of that number is durable.
//  3. `OnTick` is called at `NextTick` at the latest.
//  4. Committed entries are taken with `NextApply` and confirmed with `OnApplied`, in order.
//
// References in src/core: "paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm"
// (extended version); a bare § is Ongaro's dissertation; codes such as B10 are hazards listed in tests/CATALOGUE.md.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <variant>
#include <vector>

#include "core/configuration.h"
#include "core/term_history.h"
#include "ringraft/batch.h"
#include "ringraft/errc.h"
#include "ringraft/rpc.h"
#include "ringraft/status.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::core {

struct CoreOptions {
  NodeId self;
  uint64_t incarnation = 0;  // of the data directory
  bool is_witness = false;   // the data directory stores no commands
  // This server bootstraps the cluster with others. If its log is empty, either the cluster has not been bootstrapped,
  // or the log is lost and with it the votes of this server (hazard C17: a member's directory was emptied). It does not
  // vote then.
  bool bootstraps = false;
  GroupId group;
  Duration election_timeout_min{};
  Duration election_timeout_max{};
  Duration heartbeat_interval{};
  size_t peer_window_bytes = 8 << 20;  // sent to a peer and not acknowledged
  size_t peer_window_calls = 16;
  size_t max_append_bytes = 4 << 20;    // of the batches of one append, unless it has only one
  size_t cached_tail_bytes = 64 << 20;  // durable and applied batches that stay in memory
  // New voters catch up before the change enters the log (§4.2.1), in at most so many rounds, the last of them shorter
  // than the shortest election timeout. 0: the change does not wait for them.
  int catch_up_rounds = 10;
  // A disk is stalled if a write takes longer: the server transfers leadership and does not campaign until the disk has
  // recovered. 0: no limit.
  Duration disk_stall_limit{};
  // A leader transfers leadership to a voter of a higher priority that is reachable and has the log.
  uint8_t priority = 0;
  uint64_t seed = 1;
  // This server has run before, and may have received an append of a leader just before it stopped.
  bool is_restart = false;
  // Wall clock minus `now`, for the append time of the entries that the core creates (no-op, C(new)). Display only.
  int64_t wall_clock_offset_ns = 0;
  // Sends a new commit index to an idle peer at once, in an append without entries; otherwise the next append or
  // heartbeat carries it.
  bool tell_commit_when_idle = true;
};

// Writes are numbered from 1, in the order in which they must become durable. Number 0 is always durable.
using WriteNumber = uint64_t;

struct Write {
  WriteNumber number = 0;
  std::optional<HardState> hard_state;
  std::optional<Index> truncate_after;
  std::vector<BatchRef> batches;
};

// --- elections ---

struct VoteTicket {
  Term term;  // of the node when the round began
  bool pre_vote = false;
  uint64_t round = 0;
};

// A pre-vote or an election that has begun: `args`, with `to` filled in, is to be sent to each of `peers`.
struct VoteRound {
  VoteTicket ticket;
  WriteNumber gate = 0;  // the candidate's own vote is durable before the requests of an election are sent
  RequestVoteArgs args;
  std::vector<Peer> peers;
};

struct VoteReply {
  RequestVoteResults results;
  WriteNumber gate = 0;  // the term and the vote are durable before the reply is sent
};

// --- replication, as a follower ---

// The outcome of `OnAppendEntries`; `FinishAppend` makes the reply of it once `gate` is durable.
struct AppendTicket {
  WriteNumber gate = 0;  // of a heartbeat: at most that of the hard state, never that of data
  Term term;             // the server's term at that time
  bool accepted = false;
  Index verified;  // the log in memory up to here is the leader's
  ConflictHint conflict;
};

// --- replication, as the leader ---

struct PeerTicket {
  NodeId peer;
  Term term;
  uint64_t sequence = 0;  // of this append, unique within the leadership; 0 for a heartbeat
  Index prev_index;
  Index last_index;
  Index known_match;  // the peer's match index when this was sent
  size_t bytes = 0;
  bool is_timeout_now = false;
  TimePoint sent;
};

struct AppendRequest {
  PeerTicket ticket;
  Peer peer;
  AppendEntriesArgs args;
};

// The peer or the applier needs batches that are no longer in memory: read them with Storage::Read(from, max_bytes).
struct ReadRequest {
  Index from;
  size_t max_bytes = 0;
};

// std::monostate: nothing to do now.
using NextAppendResult = std::variant<std::monostate, AppendRequest, ReadRequest>;

// --- configuration changes ---

// A change in progress, shared by the core and the caller that requested it.
struct ConfigChangeState {
  Term term;
  Index index;  // of C(old,new), or of the only entry; 0 while new voters catch up
  bool is_joint = false;
  Error refusal;  // why the change did not enter the log; kOk otherwise
};
using ConfigTicket = std::shared_ptr<const ConfigChangeState>;

enum class ConfigProgress {
  kCatchingUp,  // nothing is in the log yet
  kPending,
  kDone,
  kRefused,  // nothing has changed; the ticket has the reason
  kLost,     // this server can no longer tell the outcome
};

// --- apply ---

using NextApplyResult = std::variant<std::monostate, std::vector<BatchRef>, ReadRequest>;

class Core {
 public:
  // Checks that `recovered` is consistent, which is a precondition of the constructor. Errors: kCorrupt, naming the
  // defect.
  static Result<void> CheckRecovered(const RecoveredLog& recovered);

  // `recovered`: the result of Storage::Recover. `applied`: the last index that a durable state machine has applied; at
  // most the last index of the log.
  Core(const CoreOptions& options, const RecoveredLog& recovered, Index applied, TimePoint now);
  ~Core();

  // --- state ---
  Role role() const;
  bool is_leader() const { return role() == Role::kLeader; }
  Term term() const;
  NodeId vote() const;    // in this term; 0: none
  NodeId leader() const;  // of the current term; 0 if not known
  Index last_index() const;
  Index durable_index() const;  // the log in memory up to here is on this node's disk
  Index commit_index() const;
  Index applied_index() const;
  Term TermAt(Index index) const;
  const Configuration& configuration() const;  // the newest in the log, committed or not (§4.1)
  Index configuration_index() const;
  bool IsMember() const;
  std::vector<PeerStatus> PeerStatuses(TimePoint now) const;
  void FillPeerStatuses(TimePoint now, std::vector<PeerStatus>& statuses) const;  // in place, no allocation
  // The peers that a leader replicates to: the other members, and new voters that catch up. `peers_version` changes
  // with them.
  std::vector<Peer> ReplicationPeers() const;
  uint64_t peers_version() const;
  size_t unapplied_bytes() const;  // in memory and not yet applied
  size_t cached_bytes() const;

  // --- time ---
  TimePoint NextTick() const;
  // Starts a pre-vote when the election timeout has passed (§9.6), in place of an unfinished one; makes a leader step
  // down that has not heard from a majority for an election timeout (CheckQuorum, §6.2); abandons a transfer at its
  // deadline, and a change with new voters that have long been silent.
  void OnTick(TimePoint now);

  // --- elections (§3.4) ---
  std::optional<VoteRound> NextVoteRound();  // once for each round
  void OnVoteReply(TimePoint now, NodeId from, const VoteTicket& ticket, const RequestVoteResults& results);
  // Refuses the vote while a leader is alive (§4.2.3) and if the candidate's log is not up to date (§3.6.1). Votes once
  // per term.
  VoteReply OnRequestVote(TimePoint now, const RequestVoteArgs& args);

  // --- follower --- Precondition: `args.entries` are results of BatchRef::Decode. Errors: kProtocol if their indexes
  // or terms are invalid.
  Result<AppendTicket> OnAppendEntries(TimePoint now, const AppendEntriesArgs& args);
  // The write that the reply still has to wait for, 0 if none: that of the ticket, or, if there is a newer term by now,
  // that which makes this term durable, since the reply names it. To be called again after each wait.
  WriteNumber AppendGate(const AppendTicket& ticket) const;
  // The reply. Precondition: `AppendGate` is 0. It never names a match that is not on this server's disk. If there is a
  // newer term by now, it is a refusal with that term.
  AppendEntriesResults FinishAppend(const AppendTicket& ticket) const;

  // --- leader ---
  // Appends the builder's entries as one batch, sealed with the next index and the term. Precondition: is_leader().
  BatchRef Propose(BatchBuilder& builder, int64_t append_time_ns);
  // Lets new voters catch up, without an entry in the log, and then appends C(old,new), or the whole change if the
  // voters stay the same; C(new) follows automatically. New peers count as heard from at the core's present time, so
  // call `OnTick` first. Errors: kNotLeader, kConfigChanged, kTransferInProgress, kNoQuorum, those of
  // Configuration::Changed, and kConfigInProgress, also until an entry of this term is committed (§4.1; Ongaro's bug
  // report of 2015).
  Result<ConfigTicket> ProposeConfig(const ConfigChange& change);
  ConfigProgress CheckConfig(const ConfigTicket& ticket) const;
  // Aborts a change that waits for its new voters to catch up; `why` becomes its refusal. Success also if there is
  // none. Errors: kNotLeader; kConfigInProgress if the change is in the log and only another change can revert it.
  Result<void> AbortConfig(Error why);

  // What the peer's pipeline does next. An AppendRequest occupies the window until its reply or failure is reported.
  NextAppendResult NextAppend(NodeId peer, TimePoint now);
  // The batches of a ReadRequest for this peer; the next NextAppend uses them. Must be called for every ReadRequest,
  // with no batches if the read failed: until then there is no other read for this peer.
  void OnRead(NodeId peer, std::vector<BatchRef> batches);
  void OnAppendReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results);
  // The driver has cancelled its calls to this peer and its read, since the peer has moved: none will be reported.
  void OnCallsDropped(NodeId peer);
  // The append has failed without a reply: all that was in flight to this peer is sent again, from its match index on.
  void OnAppendFailed(const PeerTicket& ticket);
  // An append without entries, with prev at the peer's match index (B7) and a commit index not beyond it (B2).
  std::optional<AppendRequest> NextHeartbeat(NodeId peer, TimePoint now);
  void OnHeartbeatReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results);
  // True if the peer has replied, in this leadership, from another data directory than the member's. It receives no
  // log.
  bool NeedsReadmission(NodeId peer) const;
  // How often this peer, in this leadership, has denied a match that it had reported as durable: it has lost data.
  uint64_t LostMatches(NodeId peer) const;

  // --- bootstrap ---
  // Writes the first entry of a cluster of these members: index 1, term 1, the same bytes on each of them, without a
  // leader. Precondition: the log is empty.
  void Bootstrap(const Configuration& members);
  // The number of the waiting write, which is created if there is none: what the driver adds to it becomes durable with
  // it.
  WriteNumber NextWriteNumber();

  // --- leadership transfer (§3.10) ---
  // Starts a transfer. `IsTransferring` holds until this server steps down or the deadline has passed; nothing may be
  // proposed meanwhile. A leader that its own configuration removes starts one by itself. Errors: kNotLeader,
  // kTransferInProgress, kInvalidArgument (`to` is not another voter that may lead).
  Result<void> TransferLeadership(TimePoint now, NodeId to, TimePoint deadline);
  bool IsTransferring() const;
  std::optional<NodeId> successor() const;  // of the transfer in progress
  bool IsYielding() const;                  // the transfer is to a higher priority, and was not requested
  // The most suitable reachable voter: one that does not lag, of the highest priority, with most of the log, in this
  // order. 0 if there is none.
  NodeId BestSuccessor(TimePoint now);
  // The heartbeat that makes the successor campaign, once, when it has the whole log and all of it is committed. The
  // regular heartbeats repeat the request.
  std::optional<AppendRequest> NextTimeoutNow(TimePoint now);

  // --- persistence ---
  // True from the time a write takes longer than the limit until three in a row have been in time. An idle core writes
  // its hard state again to find out.
  bool is_disk_stalled() const;
  // Of the last write, or of the oldest that is not durable if that has taken longer.
  Duration disk_latency(TimePoint now) const;
  bool HasWrite() const;
  Write NextWrite(TimePoint now);  // all pending changes, as one write. Precondition: HasWrite()
  // This write and all before it are durable. The core derives which entries are: entries that have been overwritten
  // since do not count (B10).
  void OnPersisted(TimePoint now, WriteNumber number);
  WriteNumber persisted() const;

  // --- apply --- Committed batches after the last one taken, up to about `max_bytes`; with `durable_only` only those
  // on this server's disk. For batches that are not in memory it returns a ReadRequest: the driver reads, and applies
  // what `OnApplyRead` returns.
  NextApplyResult NextApply(size_t max_bytes, bool durable_only);
  // Takes the batches of a ReadRequest of NextApply and returns those that may be applied now: a read begins with the
  // batch that holds `from` and may extend beyond the commit index.
  std::vector<BatchRef> OnApplyRead(std::vector<BatchRef> batches, bool durable_only);
  // Everything up to here has been applied, and the next NextApply continues after it: confirm one group before taking
  // the next, or the next is returned twice. `index` may be inside a batch; the rest of it is returned again.
  void OnApplied(Index index);

  // Asserts the invariants of the state. For tests, after every step.
  void CheckInvariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ringraft::core
