// Who the members are: one set, or two while a change is joint (§4.3 of the dissertation, §6 of the paper).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::core {

struct Configuration {
  std::vector<Peer> voters;      // C(new), or the only set; ascending by id
  std::vector<Peer> old_voters;  // C(old) while the change is joint; empty otherwise

  bool is_joint() const { return !old_voters.empty(); }
  bool empty() const { return voters.empty(); }
  bool Contains(NodeId id) const;     // in either half
  const Peer* Find(NodeId id) const;  // the newer half first
  std::vector<Peer> Members() const;  // of both halves, ascending, each id once
  bool operator==(const Configuration&) const = default;

  // The command of a kConfiguration entry: a format version, then both halves. Decode checks everything (ids
  // ascending and not 0, voters not empty): kCorrupt with the cause.
  std::string Encode() const;
  static Result<Configuration> Decode(std::string_view command);

  // C(old,new) for a change, or why it is refused: kAlreadyMember, kNotMember, kEmptyConfig, kInvalidArgument
  // (duplicate or zero ids, malformed address), each with a message that names the peer.
  Result<Configuration> Joint(std::span<const Peer> added, std::span<const NodeId> removed) const;
};

}  // namespace ringraft::core
