#include "core/configuration.h"

#include <algorithm>

namespace ringraft::core {
namespace {

const Member* FindIn(const std::vector<Member>& members, NodeId id) {
  for (const Member& member : members) {
    if (member.id == id) return &member;
  }
  return nullptr;
}

}  // namespace

bool Configuration::Contains(NodeId id) const { return Find(id) != nullptr; }

bool Configuration::IsNewVoter(NodeId id) const { return FindIn(voters, id) != nullptr; }

bool Configuration::IsVoter(NodeId id) const { return IsNewVoter(id) || FindIn(old_voters, id) != nullptr; }

bool Configuration::IsVoter(NodeId id, uint64_t incarnation) const {
  for (const std::vector<Member>* members : {&voters, &old_voters}) {
    const Member* voter = FindIn(*members, id);
    if (voter != nullptr && voter->IsOf(incarnation)) return true;
  }
  return false;
}

bool Configuration::IsWitness(NodeId id) const {
  const Member* member = Find(id);
  return member != nullptr && member->is_witness;
}

bool Configuration::MayLead(NodeId id) const { return IsNewVoter(id) && !IsWitness(id); }

bool Configuration::IsOf(NodeId id, uint64_t incarnation) const {
  bool is_named = false;
  for (const std::vector<Member>* members : {&voters, &learners, &old_voters}) {
    const Member* member = FindIn(*members, id);
    if (member == nullptr) continue;
    if (member->IsOf(incarnation)) return true;
    is_named = true;
  }
  return !is_named;
}

const Member* Configuration::Find(NodeId id) const {
  for (const std::vector<Member>* members : {&voters, &learners, &old_voters}) {
    if (const Member* member = FindIn(*members, id)) return member;
  }
  return nullptr;
}

std::vector<Peer> Configuration::Members() const {
  std::vector<Peer> members(voters.begin(), voters.end());
  members.insert(members.end(), learners.begin(), learners.end());
  for (const Peer& peer : old_voters) {
    if (FindIn(voters, peer.id) == nullptr && FindIn(learners, peer.id) == nullptr) members.push_back(peer);
  }
  std::sort(members.begin(), members.end(), [](const Peer& a, const Peer& b) { return a.id < b.id; });
  return members;
}

BatchRef BootstrapBatch(const Configuration& members, GroupId group) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, members.Encode());
  return builder.Seal(Index(1), Term(1), NodeId(0), group, 0);
}

Configuration Configuration::Target() const {
  Configuration target = *this;
  target.old_voters.clear();
  std::erase_if(target.data, [&](const auto& item) { return !target.Contains(item.first); });
  return target;
}

}  // namespace ringraft::core
