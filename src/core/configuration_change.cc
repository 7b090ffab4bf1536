// What a change makes of a configuration, or why it is refused.
#include <algorithm>
#include <set>
#include <string>

#include "core/configuration.h"
#include "ringraft/options.h"  // ParseAddr

namespace ringraft::core {
namespace {

using Step = ConfigChange::Step;
using StepKind = ConfigChange::StepKind;

std::string Name(NodeId id) { return "peer " + std::to_string(id.value()); }

bool IsAbout(const Step& step, StepKind kind) { return step.kind == kind; }

// Does it say what the member is to be, rather than where it is or what belongs to it?
bool IsOfKind(const Step& step) { return !IsAbout(step, StepKind::kSetAddr) && !IsAbout(step, StepKind::kSetData); }

Result<void> CheckNames(const ConfigChange& change) {
  if (change.empty()) return Error(Errc::kInvalidArgument, "the change names no peer: add or remove at least one");
  std::set<NodeId> kinds, addrs, datas;
  for (const Step& step : change.steps()) {
    const NodeId id = step.peer.id;
    if (id == NodeId(0)) return Error(Errc::kInvalidArgument, "peer 0 cannot be a member: ids begin at 1");
    std::set<NodeId>& seen = IsOfKind(step) ? kinds : IsAbout(step, StepKind::kSetAddr) ? addrs : datas;
    if (!seen.insert(id).second)
      return Error(Errc::kInvalidArgument, Name(id) + " is named twice in one change: name it once");
  }
  return Success();
}

void Insert(std::vector<Member>& members, const Member& member) {
  const auto before = [](const Member& a, const Member& b) { return a.id < b.id; };
  members.insert(std::lower_bound(members.begin(), members.end(), member, before), member);
}

void Erase(std::vector<Member>& members, NodeId id) {
  std::erase_if(members, [id](const Member& member) { return member.id == id; });
}

Member& At(Configuration& of, NodeId id) {
  return const_cast<Member&>(*of.Find(id));  // NOLINT: `of` is not const
}

Result<void> CheckAddr(const Peer& peer) {
  auto addr = ParseAddr(peer.addr.text());
  if (!addr) return Error(Errc::kInvalidArgument, Name(peer.id) + ": " + addr.error().message());
  if (peer.addr.text().size() > kMaxAddrBytes) {
    return Error(Errc::kInvalidArgument, Name(peer.id) + ": its address has " +
                                             std::to_string(peer.addr.text().size()) +
                                             " bytes, more than the limit of 1024");
  }
  return Success();
}

Error IsAWitness(NodeId id) {
  return Error(Errc::kInvalidArgument, Name(id) +
                                           " is a witness and has no commands: remove it, and add it again with "
                                           "an empty data directory");
}

// One step, on a configuration that is not joint.
Result<void> Apply(const Step& step, Configuration& to) {
  const NodeId id = step.peer.id;
  const Member* known = to.Find(id);
  const bool adds = IsAbout(step, StepKind::kAddVoter) || IsAbout(step, StepKind::kAddLearner) ||
                    IsAbout(step, StepKind::kAddWitness);
  if (adds && known != nullptr) {
    return Error(Errc::kAlreadyMember, Name(id) + " is a member already: promote or demote it, or change its address");
  }
  if (!adds && known == nullptr)
    return Error(Errc::kNotMember, Name(id) + " is no member: nothing to remove or to change");
  switch (step.kind) {
    case StepKind::kAddVoter:
    case StepKind::kAddLearner:
    case StepKind::kAddWitness: {
      if (auto good = CheckAddr(step.peer); !good) return good.error();
      Member added = step.peer;
      added.is_witness = IsAbout(step, StepKind::kAddWitness);
      Insert(IsAbout(step, StepKind::kAddLearner) ? to.learners : to.voters, added);
      break;
    }
    case StepKind::kReadmit:
      At(to, id).incarnation = 0;  // whichever answers next
      break;
    case StepKind::kRemove:
      Erase(to.voters, id);
      Erase(to.learners, id);
      to.data.erase(id);
      break;
    case StepKind::kPromote: {
      if (known->is_witness) return IsAWitness(id);
      if (to.IsNewVoter(id)) return Error(Errc::kAlreadyMember, Name(id) + " is a voter already: nothing to promote");
      const Member member = *known;
      Erase(to.learners, id);
      Insert(to.voters, member);
      break;
    }
    case StepKind::kDemote: {
      if (known->is_witness) return IsAWitness(id);
      if (!to.IsNewVoter(id)) return Error(Errc::kAlreadyMember, Name(id) + " is a learner already: nothing to demote");
      const Member member = *known;
      Erase(to.voters, id);
      Insert(to.learners, member);
      break;
    }
    case StepKind::kSetAddr: {
      if (auto good = CheckAddr(step.peer); !good) return good.error();
      At(to, id).addr = step.peer.addr;
      break;
    }
    case StepKind::kSetData:
      if (step.data.size() > kMaxMemberDataBytes) {
        return Error(Errc::kInvalidArgument, Name(id) + ": its data has " + std::to_string(step.data.size()) +
                                                 " bytes, more than the limit of 4096");
      }
      if (step.data.empty()) {
        to.data.erase(id);
      } else {
        to.data[id] = step.data;
      }
      break;
  }
  return Success();
}

Result<void> CheckWhole(const Configuration& target) {
  if (target.voters.empty())
    return Error(Errc::kEmptyConfig, "the change would leave no voting member: keep or add at least one");
  const auto witnesses = static_cast<size_t>(
      std::count_if(target.voters.begin(), target.voters.end(), [](const Member& voter) { return voter.is_witness; }));
  const size_t majority = target.voters.size() / 2 + 1;
  if (witnesses >= majority) {
    return Error(Errc::kInvalidArgument,
                 std::to_string(witnesses) + " witnesses among " + std::to_string(target.voters.size()) +
                     " voters could commit what none of the others has: have fewer than " + std::to_string(majority));
  }
  const std::vector<Peer> members = target.Members();
  if (members.size() > kMaxPeers) {
    return Error(Errc::kInvalidArgument, std::to_string(members.size()) + " members are more than the limit of 1024");
  }
  for (const Peer& peer : members) {
    for (const Peer& other : members) {
      if (other.id < peer.id && other.addr == peer.addr) {
        return Error(Errc::kInvalidArgument, Name(peer.id) + " would have the address " + peer.addr.text() +
                                                 ", which is that of " + Name(other.id) + ": give each its own");
      }
    }
  }
  return Success();
}

// Every majority of the one is a majority of the other.
bool AreTheSame(const std::vector<Member>& a, const std::vector<Member>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](auto& x, auto& y) { return x.id == y.id && x.incarnation == y.incarnation; });
}

}  // namespace

Result<Configuration> Configuration::Changed(const ConfigChange& change) const {
  if (is_joint()) return Error(Errc::kConfigInProgress);
  if (auto good = CheckNames(change); !good) return good.error();
  Configuration next = *this;
  // First what the members are to be, so that what belongs to a new one may be given with it.
  for (bool of_kind : {true, false}) {
    for (const Step& step : change.steps()) {
      if (IsOfKind(step) != of_kind) continue;
      if (auto done = Apply(step, next); !done) return done.error();
    }
  }
  if (auto good = CheckWhole(next); !good) return good.error();
  if (!AreTheSame(next.voters, voters)) next.old_voters = voters;
  return next;
}

}  // namespace ringraft::core
