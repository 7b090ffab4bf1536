// The configuration of a node. `Validate` names the first invalid value, what is accepted, and what to do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/event.h"
#include "ringraft/logger.h"
#include "ringraft/rpc.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

class Reactor;

// The bounds of all queues. A call beyond one is refused: with kTooLarge if retrying cannot help, otherwise with kBusy.
struct Limits {
  size_t max_command_bytes = size_t{1} << 20;      // one command; 1 .. 64 MiB
  size_t max_call_bytes = size_t{4} << 20;         // all commands of one Handle; max_command_bytes .. 256 MiB
  size_t max_call_commands = 65536;                // commands of one Handle; 1 .. 1 Mi
  size_t max_batch_bytes = size_t{4} << 20;        // waiting calls are batched up to this; a larger call is a batch
                                                   // of its own; 4 KiB .. 64 MiB
  size_t max_waiting_bytes = size_t{64} << 20;     // accepted and not yet in the log; at least max_call_bytes
  size_t max_waiting_calls = size_t{1} << 20;      // calls that have not ended; 1 .. 16 Mi
  size_t max_unapplied_bytes = size_t{256} << 20;  // in the log and not yet applied; at least max_call_bytes
  size_t peer_window_bytes = size_t{8} << 20;      // sent to a peer and not acknowledged; at least 4 KiB
  size_t peer_window_calls = 16;                   // likewise, in calls; 1 .. 1024
  size_t cached_tail_bytes = size_t{64} << 20;     // of the log, kept in memory for peers and applying; at least 4 KiB
};

struct Options {
  NodeId id;        // at least 1
  Addr addr;        // where peers reach this node, and where it listens
  std::string data_dir;  // for the default storage; not needed with `storage`

  // How a node with an empty log comes to its cluster; one of three ways. A restart may use the same options.
  //  * initial_members, the same list on every node, this one included. The cluster bootstraps once all of them have
  //    been started, since each must record the data directories of all; after that a majority is enough;
  //  * bootstrap_as_leader: the node bootstraps a cluster of itself alone;
  //  * neither: the node waits until a leader adds it.
  std::vector<Peer> initial_members;
  bool bootstrap_as_leader = false;
  // Nodes of another cluster are refused. Empty: derived from initial_members, or else learned from the first leader.
  // Not allowed with bootstrap_as_leader, which draws a random cluster ID: with a name, a second bootstrap on an
  // emptied directory would pass for the first.
  std::string cluster_name;
  GroupId group = GroupId(1);
  // The node joins as a witness (MemberKind::kWitness). Permanent: it is stored in the data directory.
  bool is_witness = false;

  // A follower that receives nothing from a leader for a random time in [min, max) campaigns (dissertation §3.4, §9.3).
  Duration election_timeout_min = std::chrono::milliseconds(300);  // 10 ms .. 60 s, < max
  Duration election_timeout_max = std::chrono::milliseconds(500);  // <= 120 s
  Duration heartbeat_interval = std::chrono::milliseconds(50);     // 1 ms .. election_timeout_min / 2

  // 0 .. 255. A leader transfers leadership to a voter of a higher priority that is reachable and has the log.
  // Elections ignore priorities, so that a cluster without its preferred nodes elects a leader as fast as any other.
  uint8_t election_priority = 0;

  // A disk is stalled while a write takes longer than this. A leader then transfers leadership, and a follower does not
  // campaign, until the disk has recovered (three writes in a row in time) or there has been no leader for ten times
  // election_timeout_max. 0 means election_timeout_max; otherwise 10 ms .. 120 s.
  Duration disk_stall_limit{};

  Limits limits;
  Logger* logger = nullptr;  // null: standard error, from kInfo on; must outlive the node
  // Called with each event, in order, at the end of a turn on the reactor's thread (kStopped of a node that never ran:
  // on the thread that stops it). Must not block or throw.
  std::function<void(const Event&)> on_event;
  uint64_t seed = 0;  // of the election timer; 0: drawn from the system

  std::shared_ptr<Storage> storage;  // null: LMDB in data_dir
  LmdbOptions lmdb;
  // null: Cap'n Proto over TCP. Called by `Raft::Run`, with the reactor that runs the node.
  std::function<std::unique_ptr<Rpc>(Reactor&)> make_rpc;
  RpcOptions rpc;

  // Checks all of the above but `lmdb` and `rpc`. Errors: kInvalidArgument, naming the first invalid option.
  Result<void> Validate() const;
};

// Parses "host:port" with a port of 1 .. 65535; an IPv6 host is in brackets: "[::1]:7101". Errors: kInvalidArgument,
// naming the defect.
Result<Addr> ParseAddr(std::string_view text);
// Parses "1=127.0.0.1:7101". Errors: kInvalidArgument.
Result<Peer> ParsePeer(std::string_view text);

}  // namespace ringraft
