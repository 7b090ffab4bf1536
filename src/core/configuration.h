// Who the members are, and who of them votes: one set of voters, or two while a change is joint (§4.3 of the
// dissertation, §6 of the paper), and learners.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::core {

inline constexpr size_t kMaxPeers = 1024;
inline constexpr size_t kMaxAddrBytes = 1024;
inline constexpr size_t kMaxMemberDataBytes = 4096;

struct Configuration {
  std::vector<Peer> voters;      // C(new), or the only set; ascending by id
  std::vector<Peer> old_voters;  // C(old) while the change is joint; empty otherwise
  std::vector<Peer> learners;    // those of C(new); among `old_voters` is one that is being demoted
  std::map<NodeId, std::string> data;  // of members that have any

  bool is_joint() const { return !old_voters.empty(); }
  bool empty() const { return voters.empty(); }
  bool Contains(NodeId id) const;     // as a voter of either half or as a learner
  bool IsVoter(NodeId id) const;      // of either half
  bool IsNewVoter(NodeId id) const;   // of C(new)
  const Peer* Find(NodeId id) const;  // C(new) first
  std::vector<Peer> Members() const;  // of both halves, ascending, each id once
  bool operator==(const Configuration&) const = default;

  // The command of a kConfiguration entry: a format version, then the members. Decode checks everything (ids
  // ascending and not 0, voters not empty): kCorrupt with the cause.
  std::string Encode() const;
  static Result<Configuration> Decode(std::string_view command);

  // The next configuration on the way to what the change asks for: C(old,new) if other members vote then, and otherwise
  // the whole change, since every majority of the one is a majority of the other. Or why it is refused:
  // kConfigInProgress, kAlreadyMember, kNotMember, kEmptyConfig, kInvalidArgument (a member named twice, a malformed
  // address, a limit), each with a message that names the peer.
  Result<Configuration> Changed(const ConfigChange& change) const;
  // C(new) behind this C(old,new).
  Configuration Target() const;
};

}  // namespace ringraft::core
