// The members of a cluster: voters, a second set of voters while a change is joint, and learners.
//
// The problem: a majority of the old members and a majority of the new ones may have no member in common, so the
// cluster could have two leaders while servers switch at different times. Joint consensus (§4.3; paper §6) puts
// C(old,new) between the two, which needs a majority of either set. That relies on members that remember their votes
// and acknowledgements. The naive way, to identify a member by its ID, breaks that (hazard C17): a server with an
// emptied or replaced disk comes back under its old ID and votes a second time in a term, or denies what it
// acknowledged.
//
// So a member is its ID together with the incarnation of its data directory, a random number, and both votes and
// acknowledgements count only from that directory. A new directory is admitted by a joint change like a new voter:
//
//     C(old)       1/a  2/b  3/c            server 3 has lost directory c and runs on d
//     C(old,new)   1/a  2/b  3/c            d counts only in C(new), c never replies; both sets need a majority
//                  1/a  2/b       3/d
//     C(new)       1/a  2/b       3/d
//
// Disks that lose data under Raft: Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST 2018).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/batch.h"
#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::core {

inline constexpr size_t kMaxPeers = 1024;
inline constexpr size_t kMaxAddrBytes = 1024;
inline constexpr size_t kMaxMemberDataBytes = 4096;

struct Member : Peer {
  Member() = default;
  Member(NodeId id, Addr addr) : Peer(id, std::move(addr)) {}
  Member(Peer peer) : Peer(std::move(peer)) {}  // NOLINT: a peer is a member with an unknown data directory
  auto operator<=>(const Member&) const = default;

  uint64_t incarnation = 0;  // of the data directory; 0: not known yet, any directory counts
  bool is_witness = false;   // voters only: stores the terms of the log, but not the commands

  // True if `directory` is this member's.
  bool IsOf(uint64_t directory) const { return incarnation == 0 || incarnation == directory; }
};

struct Configuration {
  // Invariant: each list is in ascending order of the IDs.
  std::vector<Member> voters;          // C(new), or the only set
  std::vector<Member> old_voters;      // C(old) while the change is joint; otherwise empty
  std::vector<Member> learners;        // of C(new); one that is being demoted is in `old_voters` too
  std::map<NodeId, std::string> data;  // of members that have data

  bool is_joint() const { return !old_voters.empty(); }
  bool empty() const { return voters.empty(); }
  bool Contains(NodeId id) const;  // as a voter of either half or as a learner
  bool IsVoter(NodeId id) const;   // of either half
  bool IsVoter(NodeId id, uint64_t incarnation) const;
  bool IsNewVoter(NodeId id) const;  // of C(new)
  bool IsWitness(NodeId id) const;   // in either half
  bool MayLead(NodeId id) const;     // a voter of C(new) that stores the commands
  // True if this data directory is the member's, in either half; also if the member's is not known, and for
  // non-members.
  bool IsOf(NodeId id, uint64_t incarnation) const;
  const Member* Find(NodeId id) const;  // C(new) first; null if there is none
  std::vector<Peer> Members() const;    // of both halves, ascending, each ID once
  bool operator==(const Configuration&) const = default;

  // The command of a kConfiguration entry (schemas/stored.md). Decode checks everything (IDs ascending and not 0,
  // voters not empty). Errors: kCorrupt, naming the defect.
  std::string Encode() const;
  static Result<Configuration> Decode(std::string_view command);
  uint8_t FormatVersion() const;  // of Encode's result

  // The next configuration on the way to the change: C(old,new) if the voters differ, otherwise the whole change, since
  // every majority of one is a majority of the other. Errors, naming the peer: kConfigInProgress, kAlreadyMember,
  // kNotMember, kEmptyConfig, kInvalidArgument (a member named twice, a malformed address, a limit).
  Result<Configuration> Changed(const ConfigChange& change) const;
  // C(new) of this C(old,new).
  Configuration Target() const;
};

// The bootstrap entry of a cluster: index 1, term 1, no leader, the same bytes on each of its members.
BatchRef BootstrapBatch(const Configuration& members, GroupId group);

}  // namespace ringraft::core
