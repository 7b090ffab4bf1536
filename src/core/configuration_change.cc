// Applying a change to a configuration, or refusing it.
#include <algorithm>
#include <set>
#include <string_view>

#include "base/format.h"
#include "base/try.h"
#include "core/configuration.h"
#include "ringraft/options.h"  // ParseAddr

namespace ringraft::core {
namespace {

using Step = ConfigChange::Step;
using StepKind = ConfigChange::StepKind;

// "peer 3 WHY".
Error Refusal(Errc code, NodeId id, std::string_view why) { return Error(code, fmt::format("peer {} {}", id, why)); }

bool IsAbout(const Step& step, StepKind kind) { return step.kind == kind; }

// True if the step sets the kind of a member, rather than its address or data.
bool IsOfKind(const Step& step) { return !IsAbout(step, StepKind::kSetAddr) && !IsAbout(step, StepKind::kSetData); }

Result<void> CheckNames(const ConfigChange& change) {
  if (change.empty()) return Error(Errc::kInvalidArgument, "the change has no steps: add or remove at least one peer");
  std::set<NodeId> kinds, addrs, datas;
  for (const Step& step : change.steps()) {
    const NodeId id = step.peer.id;
    if (id == NodeId(0))
      return Error(Errc::kInvalidArgument, "invalid ID '0' in the change: expected an integer of at least 1");
    std::set<NodeId>& seen = IsOfKind(step) ? kinds : IsAbout(step, StepKind::kSetAddr) ? addrs : datas;
    if (!seen.insert(id).second)
      return Refusal(Errc::kInvalidArgument, id, "is named twice in one change: name it once");
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

void Move(Member member, std::vector<Member>& from, std::vector<Member>& to) {
  Erase(from, member.id);
  Insert(to, member);
}

Member& At(Configuration& of, NodeId id) {
  return const_cast<Member&>(*of.Find(id));  // NOLINT: `of` is not const
}

Result<void> CheckAddr(const Peer& peer) {
  auto addr = ParseAddr(peer.addr.text());
  if (!addr) return Error(Errc::kInvalidArgument, fmt::format("peer {}: {}", peer.id, addr.error().message()));
  const size_t bytes = peer.addr.text().size();
  if (bytes > kMaxAddrBytes)
    return Refusal(Errc::kInvalidArgument, peer.id,
                   fmt::format("would have an address of {} bytes: expected at most {}", bytes, kMaxAddrBytes));
  return Success();
}

// Whether the step fits the member's present kind. `to` is not joint.
Result<void> CheckKind(const Step& step, const Configuration& to) {
  const NodeId id = step.peer.id;
  const Member* known = to.Find(id);
  const bool adds = IsAbout(step, StepKind::kAddVoter) || IsAbout(step, StepKind::kAddLearner) ||
                    IsAbout(step, StepKind::kAddWitness);
  const bool promotes = IsAbout(step, StepKind::kPromote), demotes = IsAbout(step, StepKind::kDemote);
  const bool is_witness = known != nullptr && known->is_witness;
  const struct {
    bool applies;
    Errc code;
    const char* why;
  } refusals[] = {  // the first that applies
      {adds && known != nullptr, Errc::kAlreadyMember,
       "is a member already: promote or demote it, or change its address"},
      {!adds && known == nullptr, Errc::kNotMember, "is not a member: nothing to remove or change"},
      {(promotes || demotes) && is_witness, Errc::kInvalidArgument,
       "is a witness, which stores no commands: remove it, and add it again with an empty data directory"},
      {promotes && to.IsNewVoter(id), Errc::kAlreadyMember, "is a voter already: nothing to promote"},
      {demotes && !to.IsNewVoter(id), Errc::kAlreadyMember, "is a learner already: nothing to demote"},
  };
  for (const auto& refusal : refusals) {
    if (refusal.applies) return Refusal(refusal.code, id, refusal.why);
  }
  return Success();
}

// Applies one step to a configuration that is not joint.
Result<void> Apply(const Step& step, Configuration& to) {
  const NodeId id = step.peer.id;
  RINGRAFT_TRYV(CheckKind(step, to));
  switch (step.kind) {
    case StepKind::kAddVoter:
    case StepKind::kAddLearner:
    case StepKind::kAddWitness: {
      RINGRAFT_TRYV(CheckAddr(step.peer));
      Member added = step.peer;
      added.is_witness = IsAbout(step, StepKind::kAddWitness);
      Insert(IsAbout(step, StepKind::kAddLearner) ? to.learners : to.voters, added);
      break;
    }
    case StepKind::kReadmit:
      At(to, id).incarnation = 0;  // that of the directory that replies next
      break;
    case StepKind::kRemove:
      Erase(to.voters, id);
      Erase(to.learners, id);
      to.data.erase(id);
      break;
    case StepKind::kPromote:
      Move(At(to, id), to.learners, to.voters);
      break;
    case StepKind::kDemote:
      Move(At(to, id), to.voters, to.learners);
      break;
    case StepKind::kSetAddr:
      RINGRAFT_TRYV(CheckAddr(step.peer));
      At(to, id).addr = step.peer.addr;
      break;
    case StepKind::kSetData:
      if (step.data.size() > kMaxMemberDataBytes)
        return Refusal(
            Errc::kInvalidArgument, id,
            fmt::format("would have data of {} bytes: expected at most {}", step.data.size(), kMaxMemberDataBytes));
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
                 fmt::format("{} witnesses among {} voters could commit entries that no other voter has: expected "
                             "fewer than {} witnesses",
                             witnesses, target.voters.size(), majority));
  }
  const std::vector<Peer> members = target.Members();
  if (members.size() > kMaxPeers)
    return Error(Errc::kInvalidArgument,
                 fmt::format("the change would leave {} members: expected at most {}", members.size(), kMaxPeers));
  for (const Peer& peer : members) {
    for (const Peer& other : members) {
      if (other.id < peer.id && other.addr == peer.addr)
        return Refusal(Errc::kInvalidArgument, peer.id,
                       fmt::format("would have the address {} of peer {}: give each its own", peer.addr, other.id));
    }
  }
  return Success();
}

// True if every majority of one is a majority of the other.
bool AreTheSame(const std::vector<Member>& a, const std::vector<Member>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](auto& x, auto& y) { return x.id == y.id && x.incarnation == y.incarnation; });
}

}  // namespace

Result<Configuration> Configuration::Changed(const ConfigChange& change) const {
  if (is_joint()) return Error(Errc::kConfigInProgress);
  RINGRAFT_TRYV(CheckNames(change));
  Configuration next = *this;
  // The kinds of the members first, so that one change may add a member and set its data.
  for (bool of_kind : {true, false}) {
    for (const Step& step : change.steps()) {
      if (IsOfKind(step) != of_kind) continue;
      RINGRAFT_TRYV(Apply(step, next));
    }
  }
  RINGRAFT_TRYV(CheckWhole(next));
  if (!AreTheSame(next.voters, voters)) next.old_voters = voters;
  return next;
}

}  // namespace ringraft::core
