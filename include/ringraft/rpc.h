// How nodes talk to each other. Cap'n Proto over TCP is the default; another transport may stand in.
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

namespace ringraft {

class AdminService;  // admin.h
class Reactor;

// Random 128 bits, or the hash of what names the cluster. All zero: not known yet.
struct ClusterId {
  uint64_t high = 0, low = 0;
  explicit operator bool() const { return high != 0 || low != 0; }
  auto operator<=>(const ClusterId&) const = default;
};
std::string ToString(ClusterId id);  // 32 hexadecimal digits

// Of which history of the cluster a log is. Logs of unlike generations have other entries at the same index and term.
struct Generation {
  uint64_t counter = 0;  // 1, and one more with each recovery from a lost quorum; 0: not known, of who has no log yet
  // Of the founding entry, or drawn at the recovery: so two foundings, and two recoveries, under one identity are told
  // apart. 0: not known, of an older build, which is taken for any.
  uint64_t origin = 0;
  auto operator<=>(const Generation&) const = default;
};
std::string ToString(const Generation& generation);  // "2 (00c0ffee00c0ffee)"

// Who a process is, told in the handshake of every connection and stored in the data directory.
struct Identity {
  ClusterId cluster;
  NodeId node;
  uint64_t incarnation = 0;  // random, made with the data directory
  uint64_t start_count = 0;  // raised durably at each start
  uint64_t process = 0;      // random, made at each start: tells a process from its copy; 0: not known
  // Those of the starts before, the last one first: a copy has others from where it parted on.
  std::array<uint64_t, 32> earlier{};
  Generation generation;
};

constexpr uint32_t kProtocolVersion = 1;

struct AppendEntriesArgs {
  GroupId group;
  NodeId to;  // the handshake must have shown that the address is this node's
  Term term;
  NodeId leader_id;
  Index prev_index;
  Term prev_term;
  std::vector<BatchRef> entries;  // none: a heartbeat
  Index leader_commit;
  Generation generation;     // the leader's
  bool timeout_now = false;  // in a heartbeat: stand for election at once, if the log ends at prev_index (§3.10)
};

// Where the two logs may agree, after a refused append: the sender's largest (index, term) that is not behind the
// refused position and whose term is not larger than the refused one (dissertation §3.5, whole terms at a time).
struct ConflictHint {
  Index index;
  Term term;
};

struct AppendEntriesResults {
  Term term;
  bool success = false;
  Index durable_match;  // on success: up to here the sender's log is the leader's, and on its disk
  ConflictHint conflict;  // on refusal
  uint64_t incarnation = 0;  // of the sender's data directory: whose acknowledgement it is
  bool is_witness = false;   // the sender's directory is for no commands
  uint8_t priority = 0;      // Options::election_priority of the sender
  bool is_disk_stalled = false;  // the sender takes no leadership over now
};

struct RequestVoteArgs {
  GroupId group;
  NodeId to;
  Term term;  // of a pre-vote: the term that an election would have
  NodeId candidate_id;
  Index last_index;
  Term last_term;
  bool pre_vote = false;
  bool is_transfer = false;  // the leader has asked the candidate to stand: that it is alive is no reason to refuse
};

struct RequestVoteResults {
  Term term;
  bool vote_granted = false;
  uint64_t incarnation = 0;  // of the sender's data directory: whose vote it is
};

// Commands on their way to the leader: each call is a unit, as it was one `Handle`.
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
  Duration timeout{};  // what is left until the callers' deadline
  std::vector<ForwardCall> calls;
};
struct ForwardResults {
  std::vector<ForwardOutcome> outcomes;  // one for each call
};

// Asked by the members of a fixed list before there is a cluster, and by every node that starts.
struct BootstrapArgs {
  GroupId group;
  NodeId to;
};
struct BootstrapResults {
  uint64_t incarnation = 0;
  bool is_bootstrapped = false;  // it has a log
  std::string members;     // the configuration that it has written down to begin with; empty: none yet
};

// Implemented by the node. Called on the reactor's thread; calls of one connection start in the order they were sent.
class RpcService {
 public:
  virtual ~RpcService() = default;
  virtual Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) = 0;
  virtual Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) = 0;
  virtual Task<Result<ForwardResults>> Forward(ForwardArgs args) = 0;
  virtual Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) = 0;
  // A peer's handshake has been checked against our identity and holds; refuse it here with an error, or learn from it.
  virtual Result<void> OnHandshake(const Identity& peer) = 0;
  // Before each call of the peer, and to it, on a connection whose handshake was good: another process may have taken
  // its place since. A refusal ends the call, and the connection.
  virtual Result<void> OnCall(const Identity&) { return Success(); }
  // An operator's tool has connected, and asks for the node of this group, or for whichever is here. What it gets lives
  // as long as this does. The error is shown to the operator.
  virtual Result<AdminService*> Admin(std::optional<GroupId> /*group*/) {
    return Error(Errc::kUnsupported, "this node has nothing to say to operators; ask another one");
  }
};

// A transport. Used on the reactor's thread only. Calls return kUnreachable (it certainly did not arrive), kTimedOut or
// kUnknown (it may have arrived), kWrongNode, kWrongCluster, kWrongVersion, kProtocol. A call that is dropped is
// cancelled: its answer is not awaited any more, but it may have been sent.
class Rpc {
 public:
  virtual ~Rpc() = default;

  // Binds the address. Errors name it: kIo (in use, not ours), kInvalidArgument (malformed).
  virtual Result<void> Listen(const Addr& addr) = 0;
  // From here on, incoming connections are served. `Listen` and `Register` come first.
  virtual Result<void> Serve() = 0;
  // `identity` is asked for each handshake, since a fresh node learns its cluster from its first peer.
  virtual void Register(RpcService& service, std::function<Identity()> identity) = 0;
  // Closes the listener and all connections; calls end with kStopped. The destructor does it too.
  virtual void Close() = 0;

  // Heartbeats (no entries) and votes have a connection of their own: they never wait behind data.
  virtual Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) = 0;
  virtual Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) = 0;
  virtual Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) = 0;
  virtual Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) = 0;
};

struct RpcOptions {
  Duration connect_timeout = std::chrono::milliseconds(500);  // with the handshake
  Duration retry_delay = std::chrono::milliseconds(50);       // between attempts to reach one address
  Duration call_timeout = std::chrono::seconds(5);            // for the answer to an append or a vote
  Duration idle_handshake = std::chrono::seconds(5);          // an incoming connection must introduce itself within
  size_t max_message_bytes = size_t{64} << 20;                // larger frames close the connection
  size_t max_connections = 256;                               // incoming
  uint64_t max_calls_per_connection = 1024;                   // unfinished, incoming
  Logger* logger = nullptr;                                   // null: the reactor's
};

// Cap'n Proto over the reactor's ring.
std::unique_ptr<Rpc> MakeCapnpRpc(Reactor& reactor, RpcOptions options = {});

}  // namespace ringraft
