// The startup of a node: makes sure that its data directory is not a copy, and bootstraps a cluster from a fixed list.
// Reactor only; owned by the node.
//
// The problem: the members of a fixed list start with empty logs and must agree on a first configuration without a
// leader. The naive way, each takes the list as it stands, fails when a directory is emptied: that member comes back,
// bootstraps and votes again, and what it had acknowledged or voted before is forgotten (C17 in tests/CATALOGUE.md).
// So a member is its id together with its data directory, and the list that counts names both:
//
//   request the directory of each member ──> write the full list down, once and durably
//        ^            (some do not reply: wait)                 │
//        └──────────── (some have not written: wait) ───────────┤
//                                                               v
//                     all have written the same: put it into the log at index 1, and vote
//
// No node writes two lists on one disk, so no two lists can be complete. If a directory is emptied before all have
// written, the lists differ: all wait forever and report it, and nothing has been acknowledged yet. If it is emptied
// later, its member finds that the others have bootstrapped without the new directory, and waits to be readmitted. The
// cost: all members must have been up once before the first command is served.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/core.h"
#include "coro/loop.h"
#include "coro/scope.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "node/peer_verifier.h"
#include "node/storage_driver.h"
#include "ringraft/options.h"
#include "ringraft/rpc.h"
#include "ringraft/task.h"

namespace ringraft::node {

class Bootstrap {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    Rpc& rpc;
    StorageDriver& storage;
    PeerVerifier& peers;
    coro::Scope& scope;  // for its coroutines
    NodeControl& control;
    const NodeLogger& log;
  };
  // `written_members`: the list that an earlier start has written down; see Claim.
  Bootstrap(const Parts& parts, std::string written_members);

  // Fails the node, and refuses its directory for good, if its log names another address where this node runs.
  Task<void> FindDuplicate();
  // After that: announces this start to the other members, or bootstraps from Options::initial_members.
  void Start();

  const std::string& written_members() const { return written_members_; }

 private:
  using Replies = std::map<NodeId, BootstrapResults>;
  enum class Agreement { kWait, kWrite, kBootstrapped };

  Task<void> RefuseDirectory(std::string why);
  Task<void> Announce();
  Task<void> RequestAll(std::vector<Peer> members, Replies& replies);
  Task<void> Request(Peer peer, Replies& replies);
  Task<void> BootstrapFromList();
  Agreement Compare(const Replies& replies);
  std::string ListWithDirectories(const Replies& replies) const;
  void LogOnce(LogLevel level, const std::string& message);

  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  Rpc& rpc_;
  StorageDriver& storage_;
  PeerVerifier& peers_;
  coro::Scope& scope_;
  NodeControl& control_;
  const NodeLogger& log_;
  std::string written_members_;  // Invariant: on disk; never changes once it is not empty
  std::string logged_;           // the last message
};

}  // namespace ringraft::node
