// A change of the members: `raft.ChangeConfig(ConfigChange().AddVoter(peer).Remove(id))`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// A member's part in the cluster. The numbers are part of the protocol of operators (schemas/admin.capnp).
enum class MemberKind : uint8_t {
  kVoter = 1,    // votes, and counts for commits
  kLearner = 2,  // receives and applies the whole log, but neither votes nor counts (dissertation §4.2.1)
  // Votes and counts, but stores only the index, term and leader of each batch, without commands. It needs little disk,
  // never leads, and applies nothing. Witnesses must be fewer than a majority of the voters. The price: a commit is on
  // at least (majority - witnesses) disks with the data. With two voters and a witness that is one disk, and losing it
  // may lose acknowledged commands.
  kWitness = 3,
};
const char* ToString(MemberKind kind);  // "voter", "learner", "witness"

// Any number of steps, which take effect together or not at all. A member may appear in one of AddVoter, AddLearner,
// AddWitness, Remove, Readmit, Promote and Demote, in one SetAddr, and in one SetData. Nothing is checked here:
// `Raft::ChangeConfig` refuses an invalid change and names the step. A plain value: one thread at a time.
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
    Peer peer;         // the address is used by kAdd... and kSetAddr only
    std::string data;  // for kSetData
  };

  ConfigChange() noexcept {}

  ConfigChange& AddVoter(Peer peer) { return Do(StepKind::kAddVoter, std::move(peer)); }
  ConfigChange& AddLearner(Peer peer) { return Do(StepKind::kAddLearner, std::move(peer)); }
  ConfigChange& AddWitness(Peer peer) { return Do(StepKind::kAddWitness, std::move(peer)); }
  ConfigChange& Remove(NodeId id) { return Do(StepKind::kRemove, Peer(id, Addr())); }
  ConfigChange& Promote(NodeId id) { return Do(StepKind::kPromote, Peer(id, Addr())); }  // a learner becomes a voter
  ConfigChange& Demote(NodeId id) { return Do(StepKind::kDemote, Peer(id, Addr())); }    // a voter becomes a learner
  // The member has lost its data directory and runs on another one. The votes and acknowledgements of the old directory
  // no longer count; a voter first receives the log, like a new voter.
  ConfigChange& Readmit(NodeId id) { return Do(StepKind::kReadmit, Peer(id, Addr())); }
  // The member still has its data directory, and has moved to another address.
  ConfigChange& SetAddr(NodeId id, Addr addr) { return Do(StepKind::kSetAddr, Peer(id, std::move(addr))); }
  // Up to 4096 bytes that the library stores with the member and does not interpret: a zone, an address for clients.
  // Empty removes them.
  ConfigChange& SetData(NodeId id, std::string data) {
    return Do(StepKind::kSetData, Peer(id, Addr()), std::move(data));
  }
  // The change is refused with kConfigChanged unless the newest configuration is the one at this log index
  // (`RaftStatus::configuration_index`), so that it applies to the members that its author has seen.
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
