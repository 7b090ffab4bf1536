// What a configuration change shall do: `raft.ChangeConfig(ConfigChange().AddVoter(peer).Remove(id))`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ringraft/types.h"

namespace ringraft {

// How a member takes part.
enum class MemberKind : uint8_t {
  kVoter = 1,    // votes, and counts for commits
  kLearner = 2,  // gets the whole log and applies it, but neither votes nor counts (dissertation §4.2.1)
  // Votes and counts, but keeps of the log only who wrote what when, and no commands: small and cheap, it never leads,
  // and its state machine gets nothing. Fewer than a majority of the voters may be witnesses. A commit is then on the
  // disks of as few voters with the data as a majority has besides the witnesses: with two voters and a witness that
  // is one, and losing its disk may lose what was acknowledged.
  kWitness = 3,
};
const char* ToString(MemberKind kind);  // "voter", "learner", "witness"

// Any number of steps, which take effect together or not at all. Each member may be named by one of AddVoter,
// AddLearner, AddWitness, Remove, Readmit, Promote and Demote, and besides by SetAddr and SetData. Nothing is checked
// here: `ChangeConfig` refuses what makes no sense, and names it.
class ConfigChange {
 public:
  enum class StepKind : uint8_t {
    kAddVoter,
    kAddLearner,
    kRemove,
    kPromote,
    kDemote,
    kSetAddr,
    kSetData,
    kAddWitness,
    kReadmit,
  };
  struct Step {
    StepKind kind = StepKind::kRemove;
    Peer peer;         // the address counts for those that add, and for kSetAddr
    std::string data;  // for kSetData
  };

  ConfigChange() noexcept {}

  ConfigChange& AddVoter(Peer peer) { return Do(StepKind::kAddVoter, std::move(peer)); }
  ConfigChange& AddLearner(Peer peer) { return Do(StepKind::kAddLearner, std::move(peer)); }
  ConfigChange& AddWitness(Peer peer) { return Do(StepKind::kAddWitness, std::move(peer)); }
  ConfigChange& Remove(NodeId id) { return Do(StepKind::kRemove, Peer(id, Addr())); }
  ConfigChange& Promote(NodeId id) { return Do(StepKind::kPromote, Peer(id, Addr())); }  // a learner votes from then on
  ConfigChange& Demote(NodeId id) { return Do(StepKind::kDemote, Peer(id, Addr())); }    // a voter becomes a learner
  // The member comes back with another data directory, since it has lost its own: what the old one had voted and
  // acknowledged counts no more, and the new one gets the log first, like that of a new voter.
  ConfigChange& Readmit(NodeId id) { return Do(StepKind::kReadmit, Peer(id, Addr())); }
  // The member is the same and has its data still, but is found elsewhere.
  ConfigChange& SetAddr(NodeId id, Addr addr) { return Do(StepKind::kSetAddr, Peer(id, std::move(addr))); }
  // Up to 4096 bytes that the library keeps beside the member and does not look at: a zone, or where its clients go.
  // Empty: none.
  ConfigChange& SetData(NodeId id, std::string data) {
    return Do(StepKind::kSetData, Peer(id, Addr()), std::move(data));
  }
  // Refused with kConfigChanged unless the newest configuration is the one of this log index
  // (`RaftStatus::configuration_index`): whoever read it decided on what still holds.
  ConfigChange& BasedOn(Index configuration) {
    based_on_ = configuration;
    return *this;
  }

  const std::vector<Step>& steps() const { return steps_; }
  std::optional<Index> based_on() const { return based_on_; }
  bool empty() const { return steps_.empty(); }

 private:
  ConfigChange& Do(StepKind kind, Peer peer, std::string data = {}) {
    steps_.push_back(Step{kind, std::move(peer), std::move(data)});
    return *this;
  }

  std::vector<Step> steps_;
  std::optional<Index> based_on_;
};

}  // namespace ringraft
