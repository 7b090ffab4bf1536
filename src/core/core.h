// The protocol, and nothing else: no I/O, no clock, no coroutine, no thread. Time, randomness (a seed) and "this write
// is durable" are inputs. Every call runs to its end. What has to be done is asked for (`NextX`), what happened is told
// (`OnX`).
//
// Rules for the one who drives it (src/node):
//  1. After any `On...` or `Propose...`: take `NextWrite` while there is one and hand it to the storage, in order.
//  2. A reply or request that names a `gate` leaves only when the write of that number is durable.
//  3. `NextTick` says when `OnTick` is due at the latest.
//  4. Committed entries are taken with `NextApply` and confirmed with `OnApplied`, in order.
//
// References: "paper" is Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (extended
// version); a bare § is Ongaro's dissertation.
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
  bool is_witness = false;   // the data directory is for a log without commands
  // It belongs to those who begin the cluster: that its log is empty means that it has not begun, or that the log is
  // lost, and with it what this server has voted (C17). It does not vote then.
  bool bootstraps = false;
  GroupId group;
  Duration election_timeout_min{};
  Duration election_timeout_max{};
  Duration heartbeat_interval{};
  size_t peer_window_bytes = 8 << 20;  // sent to a peer and not answered
  size_t peer_window_calls = 16;
  size_t max_append_bytes = 4 << 20;    // batches in one append, if they are more than one
  size_t cached_tail_bytes = 64 << 20;  // batches kept in memory once they are durable and applied
  // New voters catch up before the change begins (§4.2.1): in at most so many rounds, the last of them shorter than
  // the shortest election time-out. 0: they are not waited for.
  int catch_up_rounds = 10;
  // A disk that takes longer for a write is stalled: who leads on it hands the leadership over, and nobody stands on
  // it, until it is well again. 0: whatever it takes.
  Duration disk_stall_limit{};
  // A leader hands over to a voter of a higher one, if that answers and has the log.
  uint8_t priority = 0;
  uint64_t seed = 1;
  // It has run before, and may have heard from a leader just before it ended.
  bool is_restart = false;
  // Wall clock minus `now`, for the append time of the entries that the core makes itself (no-op, C(new)). Display
  // only.
  int64_t wall_clock_offset_ns = 0;
  // Tell an idle peer a new commit index at once, with an append without entries; otherwise the next append or
  // heartbeat does.
  bool tell_commit_when_idle = true;
};

// Writes are numbered from 1, in the order in which they have to become durable. 0 is durable always.
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

// A pre-vote or an election that has begun: send `args` (with `to` filled in) to every peer in `peers`.
struct VoteRound {
  VoteTicket ticket;
  WriteNumber gate = 0;  // an election's requests follow the candidate's own durable vote
  RequestVoteArgs args;
  std::vector<Peer> peers;
};

struct VoteReply {
  RequestVoteResults results;
  WriteNumber gate = 0;  // the term and the vote are on disk before the reply leaves
};

// --- replication, as a follower ---

// What `OnAppendEntries` found, to be finished once `gate` is durable.
struct AppendTicket {
  WriteNumber gate = 0;  // of a heartbeat: at most the hard state's, never that of data
  Term term;             // the node's when it answered
  bool accepted = false;
  Index verified;  // up to here the log in memory is the leader's
  ConflictHint conflict;
};

// --- replication, as the leader ---

struct PeerTicket {
  NodeId peer;
  Term term;
  uint64_t sequence = 0;  // of this append, among all of the leadership; 0 for a heartbeat
  Index prev_index;
  Index last_index;
  Index known_match;  // the peer's, when this was sent
  size_t bytes = 0;
  bool asks_to_stand = false;
  TimePoint sent;
};

struct AppendRequest {
  PeerTicket ticket;
  Peer peer;
  AppendEntriesArgs args;
};

// The peer or the applier needs batches that are not in memory any more: read them with Storage::Read(from, max_bytes).
struct ReadRequest {
  Index from;
  size_t max_bytes = 0;
};

// std::monostate: nothing to do now.
using NextAppendResult = std::variant<std::monostate, AppendRequest, ReadRequest>;

// --- configuration changes ---

// A change on its way, shared by the core and the one who asked for it.
struct ConfigChangeState {
  Term term;
  Index index;  // of C(old,new), or of the only entry; 0 while new voters catch up
  bool is_joint = false;
  Error refusal;  // why nothing of it came into the log; kOk otherwise
};
using ConfigTicket = std::shared_ptr<const ConfigChangeState>;

enum class ConfigProgress {
  kCatchingUp,  // nothing is in the log
  kPending,
  kDone,
  kRefused,  // nothing has changed; the ticket says why
  kLost,     // this node cannot tell any more
};

// --- apply ---

using NextApplyResult = std::variant<std::monostate, std::vector<BatchRef>, ReadRequest>;

class Core {
 public:
  // Does it make sense? kCorrupt with the cause. The constructor takes this for granted.
  static Result<void> CheckRecovered(const RecoveredLog& recovered);

  // `recovered` as Storage::Recover gave it. `applied`: what a durable state machine has applied already; at most the
  // last index of the log.
  Core(const CoreOptions& options, const RecoveredLog& recovered, Index applied, TimePoint now);
  ~Core();

  // --- looking ---
  Role role() const;
  bool is_leader() const { return role() == Role::kLeader; }
  Term term() const;
  NodeId vote() const;    // in this term; 0: none
  NodeId leader() const;  // of the current term, as far as known; 0 otherwise
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
  // Leaders: whom they replicate to, that is the other members, and new voters that catch up. Changes along with
  // `peers_version`.
  std::vector<Peer> ReplicationPeers() const;
  uint64_t peers_version() const;
  size_t unapplied_bytes() const;  // in memory and not yet applied
  size_t cached_bytes() const;

  // --- time ---
  TimePoint NextTick() const;
  // Starts a pre-vote when the election time-out has passed (§9.6), gives an unfinished one up for a new one, makes a
  // leader that has not heard from a majority for an election time-out step down (CheckQuorum, §6.2), and gives up a
  // transfer whose deadline has passed, or new voters that have long been silent.
  void OnTick(TimePoint now);

  // --- elections (§3.4) ---
  std::optional<VoteRound> NextVoteRound();  // once for each round
  void OnVoteReply(TimePoint now, NodeId from, const VoteTicket& ticket, const RequestVoteResults& results);
  // Withholds the vote while a leader is alive (§4.2.3), checks that the candidate's log is up to date (§3.6.1), votes
  // once a term.
  VoteReply OnRequestVote(TimePoint now, const RequestVoteArgs& args);

  // --- follower ---
  // `args.entries` are checked batches (BatchRef::Decode); their indexes and terms are checked here: kProtocol.
  Result<AppendTicket> OnAppendEntries(TimePoint now, const AppendEntriesArgs& args);
  // The write that the reply still waits for, 0 if none: the ticket's, and if the term has moved on since, the one that
  // makes the newer term durable, since the reply will name it. Ask again after each wait.
  WriteNumber AppendGate(const AppendTicket& ticket) const;
  // The reply, when the gate is durable (asserted); it names no match that is not on this node's disk. If the term has
  // moved on in between, it is a refusal with the new term.
  AppendEntriesResults FinishAppend(const AppendTicket& ticket) const;

  // --- leader ---
  // Appends what the builder holds as one batch, sealed with the next index and the term. Leaders only.
  BatchRef Propose(BatchBuilder& builder, int64_t append_time_ns);
  // Lets new voters catch up, without an entry, and then appends C(old,new), or the whole change if the voters stay the
  // same; C(new) follows by itself. Errors: kNotLeader, kConfigInProgress, kConfigChanged, kTransferInProgress, and
  // those of Configuration::Changed. Also kConfigInProgress until an entry of this term is committed (§4.1, Ongaro
  // 2015). Those that it adds count as heard from at the time of the last call that told the time: `OnTick` comes
  // first.
  Result<ConfigTicket> ProposeConfig(const ConfigChange& change);
  ConfigProgress CheckConfig(const ConfigTicket& ticket) const;
  // Gives up a change whose new voters catch up; `why` becomes its refusal. Success also if there is none. Errors:
  // kNotLeader; kConfigInProgress if C(old,new) is in the log: then only another change, after it, leads back.
  Result<void> AbortConfig(Error why);

  // What the peer's pipeline should do now. An AppendRequest reserves room in the window, until its reply or failure.
  NextAppendResult NextAppend(NodeId peer, TimePoint now);
  // The batches that a ReadRequest for this peer asked for; the next NextAppend uses them. None if the read failed:
  // must be called in any case, there is no second read for a peer before.
  void OnRead(NodeId peer, std::vector<BatchRef> batches);
  void OnAppendReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results);
  // The driver has dropped its calls to this peer, and its read, since the peer has moved: nothing comes of them.
  void OnCallsDropped(NodeId peer);
  // No answer: whatever was in flight to this peer has to be sent again, from where it is known to match.
  void OnAppendFailed(const PeerTicket& ticket);
  // An append without entries, with prev at the peer's match index (B7) and a commit index not above it (B2).
  std::optional<AppendRequest> NextHeartbeat(NodeId peer, TimePoint now);
  void OnHeartbeatReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results);
  // It answers, in this leadership, from another data directory than the member's, and gets nothing.
  bool NeedsReadmission(NodeId peer) const;
  // How often this peer has contradicted, in this leadership, a match that it had called durable: it has lost data.
  uint64_t LostMatches(NodeId peer) const;

  // --- beginning ---
  // The log is empty, and these members begin a cluster: the entry at index 1, of term 1, the same bytes on each of
  // them, which needs no leader.
  void Bootstrap(const Configuration& members);
  // The number of a write that waits, made if there is none: what the driver stores along with it is durable then.
  WriteNumber NextWriteNumber();

  // --- handing leadership over (§3.10) ---
  // Until the other one leads, this one steps down for another reason, or the deadline has passed, `IsTransferring`
  // holds and nothing must be proposed. A leader that its own configuration removes hands over by itself. Errors:
  // kNotLeader, kTransferInProgress, kInvalidArgument (no other voter).
  Result<void> TransferLeadership(TimePoint now, NodeId to, TimePoint deadline);
  bool IsTransferring() const;
  std::optional<NodeId> successor() const;  // to whom it is being handed over
  bool IsYielding() const;                  // because that one has a higher priority
  // The other voter that answers and would be the best leader: one that is not behind, of the highest priority, with
  // most of the log, in this order. 0 if there is none.
  NodeId BestSuccessor(TimePoint now);
  // When the other one has the whole log, and all of it is committed: the heartbeat that makes it stand, once. Its
  // regular heartbeats repeat that.
  std::optional<AppendRequest> NextTimeoutNow(TimePoint now);

  // --- persistence ---
  // A write has taken longer than the limit, or does so now; until three in a row have not. An idle core writes its
  // hard state again to find out.
  bool is_disk_stalled() const;
  Duration disk_latency(
      TimePoint now) const;  // of the last write, or of the oldest that is not durable if it is longer
  bool HasWrite() const;
  Write NextWrite(TimePoint now);  // everything that waits, as one write
  // This write and all before it are durable. The core knows which entries that still means: a write whose entries have
  // been overwritten since counts for nothing (B10).
  void OnPersisted(TimePoint now, WriteNumber number);
  WriteNumber persisted() const;

  // --- apply ---
  // Committed batches behind the last that was taken, up to about `max_bytes`. With `durable_only` none that is not on
  // this node's disk. What is not in memory comes back as a ReadRequest: the driver reads, and applies what
  // `OnApplyRead` returns.
  NextApplyResult NextApply(size_t max_bytes, bool durable_only);
  // What a ReadRequest of NextApply brought, cut to what may be applied now: a read begins with the batch that holds
  // `from` and may end behind the commit index. Counts as taken.
  std::vector<BatchRef> OnApplyRead(std::vector<BatchRef> batches, bool durable_only);
  // Everything up to here has been applied; the next NextApply goes on behind it (so confirm one group before taking
  // the next, or a later group is given out again). May lie inside a batch: the rest of it comes again, as a batch.
  void OnApplied(Index index);

  // Aborts the process if an invariant of the state is broken. For tests, after every step.
  void CheckInvariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ringraft::core
