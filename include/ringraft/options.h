// How a node is configured. `Validate` names the first wrong value, its limit and the remedy.
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

namespace ringraft {

class Reactor;

// Everything that can queue has a bound. A call that would pass one is refused: kTooLarge if waiting cannot help,
// kBusy otherwise.
struct Limits {
  size_t max_command_bytes = size_t{1} << 20;    // one command; 1 .. 64 MiB
  size_t max_call_bytes = size_t{4} << 20;       // all commands of one Handle; max_command_bytes .. 256 MiB
  size_t max_call_commands = 65536;              // commands of one Handle; 1 .. 1 M
  size_t max_batch_bytes = size_t{4} << 20;      // waiting calls are packed up to this; a larger call goes alone
  size_t max_waiting_bytes = size_t{64} << 20;   // accepted and not yet in the log; at least max_call_bytes
  size_t max_waiting_calls = size_t{1} << 20;    // calls that have not ended
  size_t max_unapplied_bytes = size_t{256} << 20;  // in the log and not yet applied
  size_t peer_window_bytes = size_t{8} << 20;    // sent to a peer and not answered
  size_t peer_window_calls = 16;                 // 1 .. 1024
  size_t cached_tail_bytes = size_t{64} << 20;   // of the log, kept in memory for the peers and the applier
};

struct Options {
  NodeId id;        // at least 1
  Addr addr;        // where peers reach this node, and where it listens
  std::string data_dir;  // for the default storage; not needed with `storage`

  // Who starts the cluster: exactly one of the three.
  //  * a fixed list: the same on every node, this one included. The cluster begins once all of them have been started,
  //    since each must know whose data directories the others have; after that a majority is enough;
  //  * bootstrap_as_leader: if and only if the log is empty, a configuration of this node alone;
  //  * neither: the node waits until a leader adds it.
  std::vector<Peer> initial_members;
  bool bootstrap_as_leader = false;
  // Nodes of another cluster are refused. Empty: derived from initial_members, random with bootstrap_as_leader, learned
  // from the first leader otherwise. Not with bootstrap_as_leader: a second founding would pass for the first.
  std::string cluster_name;
  GroupId group = GroupId(1);
  // The node joins as a witness (MemberKind::kWitness). For good: the data directory remembers it.
  bool is_witness = false;

  // A follower that hears nothing for a random time in between stands for election (§3.4, §9.3 of the dissertation).
  Duration election_timeout_min = std::chrono::milliseconds(300);  // 10 ms .. 60 s, < max
  Duration election_timeout_max = std::chrono::milliseconds(500);  // <= 120 s
  Duration heartbeat_interval = std::chrono::milliseconds(50);     // 1 ms .. election_timeout_min / 2

  // A leader hands the leadership over to a voter of a higher priority that answers and has the log. Elections are as
  // they are without: a cluster whose nodes of high priority are away has a leader as soon as any other.
  uint8_t election_priority = 0;

  // A write that takes longer is a stalled disk: a leader hands the leadership over, and nobody stands, until the disk
  // is well (three writes in time) or nobody has led for ten of the longest election time-outs. 0: as long as the
  // longest election time-out. Otherwise 10 ms .. 120 s.
  Duration disk_stall_limit{};

  Limits limits;
  Logger* logger = nullptr;  // null: standard error, from kInfo on; must outlive the node
  // Is told what changes, in order: at the end of a turn, on the reactor's thread. It must neither block nor throw.
  std::function<void(const Event&)> on_event;
  uint64_t seed = 0;         // of the election timer; 0: from the system

  std::shared_ptr<Storage> storage;  // null: LMDB in data_dir
  LmdbOptions lmdb;
  // null: Cap'n Proto. The transport is made on the reactor that runs the node.
  std::function<std::unique_ptr<Rpc>(Reactor&)> make_rpc;
  RpcOptions rpc;

  Result<void> Validate() const;
};

// "host:port", port 1..65535; also "[::1]:7101". The error names what is wrong.
Result<Addr> ParseAddr(std::string_view text);
// "1=127.0.0.1:7101".
Result<Peer> ParsePeer(std::string_view text);

}  // namespace ringraft
