#include "core/quorum.h"

#include <algorithm>
#include <array>
#include <vector>

namespace ringraft::core {
namespace {

size_t Majority(const std::vector<Member>& voters) { return voters.size() / 2 + 1; }

template <class Predicate>
bool EveryHalf(const Configuration& configuration, const Predicate& holds) {
  if (configuration.empty()) return false;
  return holds(configuration.voters) && (!configuration.is_joint() || holds(configuration.old_voters));
}

size_t Count(const std::vector<Member>& voters, const std::function<bool(const Member&)>& has) {
  return static_cast<size_t>(std::count_if(voters.begin(), voters.end(), has));
}

Index MajorityIndex(const std::vector<Member>& voters, const std::function<Index(const Member&)>& match) {
  std::array<Index, 16> few;  // no allocation for clusters of usual size: this runs for every reply
  std::vector<Index> many(voters.size() > few.size() ? voters.size() : 0);
  Index* matches = many.empty() ? few.data() : many.data();
  for (size_t i = 0; i < voters.size(); ++i) matches[i] = match(voters[i]);
  std::sort(matches, matches + voters.size(), std::greater<>());
  return matches[Majority(voters) - 1];
}

}  // namespace

bool HasQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& has) {
  return EveryHalf(configuration,
                   [&](const std::vector<Member>& voters) { return Count(voters, has) >= Majority(voters); });
}

bool CanReachQuorum(const Configuration& configuration, const std::function<bool(const Member&)>& is_lost) {
  return EveryHalf(configuration, [&](const std::vector<Member>& voters) {
    return voters.size() - Count(voters, is_lost) >= Majority(voters);
  });
}

Index QuorumIndex(const Configuration& configuration, const std::function<Index(const Member&)>& match) {
  if (configuration.empty()) return Index(0);
  Index index = MajorityIndex(configuration.voters, match);
  // §4.3: while a change is joint, agreement needs separate majorities of the old and the new members.
  if (configuration.is_joint()) index = std::min(index, MajorityIndex(configuration.old_voters, match));
  return index;
}

}  // namespace ringraft::core
