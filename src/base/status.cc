#include "ringraft/status.h"

namespace ringraft {

const char* ToString(Role role) {
  switch (role) {
    case Role::kFollower: return "follower";
    case Role::kPreCandidate:
    case Role::kCandidate: return "candidate";
    case Role::kLeader: return "leader";
  }
  return "?";
}

const char* ToString(MemberKind kind) {
  switch (kind) {
    case MemberKind::kVoter:
      return "voter";
    case MemberKind::kLearner:
      return "learner";
    case MemberKind::kWitness:
      return "witness";
  }
  return "?";
}

}  // namespace ringraft
