#include "core/configuration.h"

#include <algorithm>

namespace ringraft::core {
namespace {

const Peer* FindIn(const std::vector<Peer>& peers, NodeId id) {
  for (const Peer& peer : peers) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

}  // namespace

bool Configuration::Contains(NodeId id) const { return Find(id) != nullptr; }

bool Configuration::IsNewVoter(NodeId id) const { return FindIn(voters, id) != nullptr; }

bool Configuration::IsVoter(NodeId id) const { return IsNewVoter(id) || FindIn(old_voters, id) != nullptr; }

const Peer* Configuration::Find(NodeId id) const {
  for (const std::vector<Peer>* peers : {&voters, &learners, &old_voters}) {
    if (const Peer* peer = FindIn(*peers, id)) return peer;
  }
  return nullptr;
}

std::vector<Peer> Configuration::Members() const {
  std::vector<Peer> members = voters;
  members.insert(members.end(), learners.begin(), learners.end());
  for (const Peer& peer : old_voters) {
    if (FindIn(voters, peer.id) == nullptr && FindIn(learners, peer.id) == nullptr) members.push_back(peer);
  }
  std::sort(members.begin(), members.end(), [](const Peer& a, const Peer& b) { return a.id < b.id; });
  return members;
}

Configuration Configuration::Target() const {
  Configuration target = *this;
  target.old_voters.clear();
  std::erase_if(target.data, [&](const auto& item) { return !target.Contains(item.first); });
  return target;
}

}  // namespace ringraft::core
