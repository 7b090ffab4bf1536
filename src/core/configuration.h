// Who the members are, and who of them votes: one set of voters, or two while a change is joint (§4.3 of the
// dissertation, §6 of the paper), and learners.
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

// A member is its id together with its data directory: a disk that was emptied or replaced has forgotten what it voted
// and acknowledged, and is another one (C17).
struct Member : Peer {
  Member() = default;
  Member(NodeId id, Addr addr) : Peer(id, std::move(addr)) {}
  Member(Peer peer) : Peer(std::move(peer)) {}  // NOLINT: a peer is a member of whose disk nothing is known
  auto operator<=>(const Member&) const = default;

  uint64_t incarnation = 0;  // of the data directory; 0: not known yet, so that any of them is it
  bool is_witness = false;   // of voters only: has the terms of the log, but not the commands

  bool IsOf(uint64_t directory) const { return incarnation == 0 || incarnation == directory; }
};

struct Configuration {
  std::vector<Member> voters;          // C(new), or the only set; ascending by id
  std::vector<Member> old_voters;      // C(old) while the change is joint; empty otherwise
  std::vector<Member> learners;        // those of C(new); among `old_voters` is one that is being demoted
  std::map<NodeId, std::string> data;  // of members that have any

  bool is_joint() const { return !old_voters.empty(); }
  bool empty() const { return voters.empty(); }
  bool Contains(NodeId id) const;     // as a voter of either half or as a learner
  bool IsVoter(NodeId id) const;      // of either half
  bool IsVoter(NodeId id, uint64_t incarnation) const;
  bool IsNewVoter(NodeId id) const;   // of C(new)
  bool IsWitness(NodeId id) const;    // in either half
  bool MayLead(NodeId id) const;      // a voter of C(new) that has the commands
  // Is this data directory that of the member, in either half? Also where it is not known, and of who is no member.
  bool IsOf(NodeId id, uint64_t incarnation) const;
  const Member* Find(NodeId id) const;  // C(new) first
  std::vector<Peer> Members() const;  // of both halves, ascending, each id once
  bool operator==(const Configuration&) const = default;

  // The command of a kConfiguration entry: a format version, then the members. Decode checks everything (ids
  // ascending and not 0, voters not empty): kCorrupt with the cause.
  std::string Encode() const;
  static Result<Configuration> Decode(std::string_view command);
  uint8_t FormatVersion() const;  // that Encode uses

  // The next configuration on the way to what the change asks for: C(old,new) if other members vote then, and otherwise
  // the whole change, since every majority of the one is a majority of the other. Or why it is refused:
  // kConfigInProgress, kAlreadyMember, kNotMember, kEmptyConfig, kInvalidArgument (a member named twice, a malformed
  // address, a limit), each with a message that names the peer.
  Result<Configuration> Changed(const ConfigChange& change) const;
  // C(new) behind this C(old,new).
  Configuration Target() const;
};

// The entry that begins a cluster: index 1, term 1, the same bytes on each of its members, and of no leader.
BatchRef BootstrapBatch(const Configuration& members, GroupId group);

}  // namespace ringraft::core
