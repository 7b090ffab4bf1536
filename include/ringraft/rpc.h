// The messages between nodes and the transport that carries them: Cap'n Proto over TCP, or a user's own `Rpc`.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringraft/batch.h"
#include "ringraft/bytes.h"
#include "ringraft/errc.h"
#include "ringraft/logger.h"
#include "ringraft/task.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

class AdminService;  // admin.h
class Reactor;

// 128 bits: random, or a hash of Options::cluster_name or Options::initial_members. All zero: not known yet.
struct ClusterId {
  uint64_t high = 0, low = 0;
  explicit operator bool() const { return high != 0 || low != 0; }
  auto operator<=>(const ClusterId&) const = default;
};
std::string ToString(ClusterId id);  // 32 hexadecimal digits

// Which history of the cluster a log belongs to.
//
// The problem: log matching (paper §5.3) takes two entries of the same index and term for the same entry, since at most
// one leader is elected per term. Two events break that premise: a recovery from a lost quorum, where one survivor
// continues alone by its own log and the others return later; and a second bootstrap of a cluster under one name, after
// a directory has been emptied.
//
//     index                       1     2     3
//     nodes 2 and 3              1:a   1:b   2:c     (term:command) both become unreachable
//     node 1, recovered alone    1:a   1:b   2:x     index 3 and term 2 again, but another entry
//
// The naive way, to let the higher term win, fails: both sides may have reached the same one. Counting the recoveries
// fails if two survivors are recovered separately: both count 2. So a generation has two parts, a counter and an
// origin. Every handshake and every append carries it, and nodes of different generations refuse each other
// (kOldGeneration) until the directory of the node that has to go is emptied. schemas/stored.md describes how it is
// stored. For the same reason a restored snapshot of etcd gets a new cluster ID (etcd's "Disaster recovery" guide).
struct Generation {
  uint64_t counter = 0;  // 1, plus the number of recoveries from a lost quorum; 0: not known (no log yet)
  // Which bootstrap or recovery began this generation: a hash of the entry at index 1, or a random number drawn at the
  // recovery. 0: not known (an older build); it then matches any origin.
  uint64_t origin = 0;
  auto operator<=>(const Generation&) const = default;
};
std::string ToString(const Generation& generation);  // "2 (00c0ffee00c0ffee)"

// The identity of a node's process: exchanged in the handshake of every connection, and stored in the data directory.
struct Identity {
  ClusterId cluster;
  NodeId node;
  uint64_t incarnation = 0;  // of the data directory: random, drawn when it is created
  uint64_t start_count = 0;  // incremented durably at each start
  uint64_t process = 0;      // random, drawn at each start: tells a process from that of a copy; 0: not known
  // `process` of the starts before this one, latest first; 0: none. Those of a copied directory differ from its
  // original's since the copy.
  std::array<uint64_t, 32> earlier{};
  Generation generation;
};

constexpr uint32_t kProtocolVersion = 1;

struct AppendEntriesArgs {
  GroupId group;
  NodeId to;  // the receiver; the handshake has checked that the address is this node's
  Term term;
  NodeId leader_id;
  Index prev_index;
  Term prev_term;
  std::vector<BatchRef> entries;  // none: a heartbeat
  Index leader_commit;
  Generation generation;     // the leader's
  bool timeout_now = false;  // in a heartbeat: campaign at once, if the log ends at prev_index (dissertation §3.10)
};

// Where the two logs may agree, in the reply to a refused append: the follower's last position with an index and a term
// of at most those of the refused one (prev_index, prev_term). It skips whole terms (dissertation §3.5).
struct ConflictHint {
  Index index;
  Term term;
};

struct AppendEntriesResults {
  Term term;
  bool success = false;
  Index durable_match;    // on success: the follower's log up to here is the leader's, and on the follower's disk
  ConflictHint conflict;  // on refusal
  uint64_t incarnation = 0;      // the data directory that acknowledges
  bool is_witness = false;       // the follower's directory is a witness's
  uint8_t priority = 0;          // the follower's Options::election_priority
  bool is_disk_stalled = false;  // the follower must not be chosen as successor now
};

struct RequestVoteArgs {
  GroupId group;
  NodeId to;
  Term term;  // in a pre-vote: the term that the election would have
  NodeId candidate_id;
  Index last_index;
  Term last_term;
  bool pre_vote = false;
  bool is_transfer = false;  // the leader has requested this campaign: voters that hear it do not refuse because of it
};

struct RequestVoteResults {
  Term term;
  bool vote_granted = false;
  uint64_t incarnation = 0;  // the data directory that votes
};

// Commands on their way to the leader. Each call is one `Handle`, and stays one append.
struct ForwardCall {
  std::vector<Bytes> commands;
};
struct ForwardOutcome {
  Error error;                 // kOk, kNotLeader, kBusy, kTooLarge, kUnknown, kStopped ...
  std::vector<Bytes> results;  // one for each command if kOk
};
struct ForwardArgs {
  GroupId group;
  NodeId to;
  Duration timeout{};  // until the latest deadline of the calls
  std::vector<ForwardCall> calls;
};
struct ForwardResults {
  std::vector<ForwardOutcome> outcomes;  // one for each call
};

// Sent by the members of a fixed list to each other before the cluster is bootstrapped, and by every node that starts.
struct BootstrapArgs {
  GroupId group;
  NodeId to;
};
struct BootstrapResults {
  uint64_t incarnation = 0;
  bool is_bootstrapped = false;  // it has a log
  std::string members;           // the configuration that it has recorded to bootstrap with; empty: none yet
};

// Implemented by the node. Called on the reactor's thread; calls of one connection start in the order in which they
// were sent. A call continues after its connection is lost; `Rpc::Close` destroys its task.
class RpcService {
 public:
  virtual ~RpcService() = default;
  virtual Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) = 0;
  virtual Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) = 0;
  virtual Task<Result<ForwardResults>> Forward(ForwardArgs args) = 0;
  virtual Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) = 0;
  // Called for each handshake, in either direction, that the transport has found to match this node's cluster and the
  // expected node. An error refuses the connection.
  virtual Result<void> OnHandshake(const Identity& peer) = 0;
  // Called before each call from or to the peer on an accepted connection: a newer process of that peer may have
  // connected since. An error ends the call and the connection.
  virtual Result<void> OnCall(const Identity&) { return Success(); }
  // Called when an operator's tool connects: returns the service for this group, or for the only one. It lives as long
  // as the RpcService. The error is shown to the operator.
  virtual Result<AdminService*> Admin(std::optional<GroupId> /*group*/) {
    return Error(Errc::kUnsupported, "this node does not serve operators; use another node");
  }
};

// A transport. Reactor thread only, except that `Raft::Run` creates it and calls `Listen` on its own thread. Calls
// return kUnreachable (the message has certainly not arrived), kTimedOut or kUnknown (it may have arrived), kWrongNode,
// kWrongCluster, kWrongVersion, kProtocol, or what the service returned. Destroying a task cancels the call: no reply
// is delivered, but the message may have been sent, and the peer may act on it.
class Rpc {
 public:
  virtual ~Rpc() = default;

  // Binds the address and listens. Errors, naming the address: kIo (in use, not local), kInvalidArgument (malformed).
  virtual Result<void> Listen(const Addr& addr) = 0;
  // Starts serving incoming connections. Preconditions: `Listen` and `Register` have been called.
  virtual Result<void> Serve() = 0;
  // `service` must outlive the transport or its `Close`. `identity` is called for each handshake, since a new node
  // learns its cluster from its first peer.
  virtual void Register(RpcService& service, std::function<Identity()> identity) = 0;
  // Closes the listener and all connections; calls end with kStopped. So does the destructor.
  virtual void Close() = 0;

  // Heartbeats (appends without entries) and votes use a connection of their own, so that data never delays them.
  virtual Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) = 0;
  virtual Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) = 0;
  virtual Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) = 0;
  virtual Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) = 0;
};

struct RpcOptions {
  Duration connect_timeout = std::chrono::milliseconds(500);  // of connecting, handshake included
  Duration retry_delay = std::chrono::milliseconds(50);       // between attempts to connect to one address
  // Of the reply to an append or a vote. An append's counts from the last byte that the peer's TCP has acknowledged, so
  // a slow link carries it; at most 24 times as long in all.
  Duration call_timeout = std::chrono::seconds(5);
  // How long a connection for heartbeats and votes may bring nothing while a call on it waits: then another one is
  // opened, heartbeats that wait end with kTimedOut, and votes may still get a late reply, within call_timeout. 0: as
  // election_timeout_max of the node's options; without a node, as call_timeout.
  Duration control_timeout{};
  Duration idle_handshake = std::chrono::seconds(5);          // of the handshake of an incoming connection
  size_t max_message_bytes = size_t{64} << 20;                // a larger frame closes the connection
  size_t max_connections = 256;                               // incoming
  uint64_t max_calls_per_connection = 1024;                   // incoming and not finished
  Logger* logger = nullptr;                                   // null: the reactor's
};

// Cap'n Proto over TCP, on the reactor's ring. `reactor` must outlive it.
std::unique_ptr<Rpc> MakeCapnpRpc(Reactor& reactor, RpcOptions options = {});

}  // namespace ringraft
