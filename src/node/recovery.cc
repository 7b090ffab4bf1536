#include "node/recovery.h"

#include <algorithm>

#include "base/format.h"
#include "base/try.h"
#include "core/core.h"
#include "node/identity.h"

namespace ringraft::node {
namespace {

Error Refuse(std::string why) { return Error(Errc::kInvalidArgument, why); }

// The only member from now on: as before, but a voter.
core::Configuration Alone(const RecoveryFacts& facts) {
  core::Configuration alone;
  core::Member self = *facts.members.Find(facts.identity.node);
  self.incarnation = facts.identity.incarnation;
  const auto data = facts.members.data.find(self.id);
  if (data != facts.members.data.end()) alone.data.insert(*data);
  alone.voters.push_back(std::move(self));
  return alone;
}

}  // namespace

Result<RecoveryFacts> LookAtLog(Storage& storage) {
  RINGRAFT_TRY(recovered, storage.Recover());
  RINGRAFT_TRY(stored, storage.Store().Get(kIdentityKey));
  if (stored.empty() || !recovered.last_index || recovered.configurations.empty())
    return Refuse("found no log of a member of a cluster: name the data directory of a member");
  RINGRAFT_TRY(refusal, storage.Store().Get(kRefusedKey));
  if (!refusal.empty()) return Error(Errc::kDuplicateNode, fmt::format("it has been refused before: {}", refusal));
  RINGRAFT_TRYV(core::Core::CheckRecovered(recovered));
  RecoveryFacts facts;
  RINGRAFT_TRY(identity, DecodeIdentity(stored));
  facts.identity = identity;
  RINGRAFT_TRY(generation, ReadGeneration(storage, recovered));
  facts.identity.generation = generation;
  facts.hard_state = recovered.hard_state;
  facts.last_index = recovered.last_index;
  facts.last_term = recovered.terms.back().term;
  facts.members_index = recovered.configurations.back().index;
  RINGRAFT_TRY(members, core::Configuration::Decode(recovered.configurations.back().command));
  facts.members = std::move(members);
  RINGRAFT_TRY(last, storage.Read(recovered.last_index, 1));
  if (!last.empty()) facts.last_append_ns = last.front().header().append_time_ns;
  const NodeId self = facts.identity.node;
  if (!facts.members.Contains(self))
    return Refuse(fmt::format("node {} is not a member by its own log: recover a node that is", self));
  if (facts.members.IsWitness(self))
    return Refuse(fmt::format("node {} is a witness and has no commands: recover a node that has them", self));
  if (facts.members.Members().size() == 1 && facts.members.IsNewVoter(self))
    return Refuse(fmt::format("node {} is the only member already, in generation {}: start it", self,
                              facts.identity.generation.counter));
  return facts;
}

Result<RecoveryFacts> Recover(Storage& storage, GroupId group, int64_t now_ns) {
  RINGRAFT_TRY(facts, LookAtLog(storage));
  // The generation first, so that no node with the new members ever presents the old generation. Its origin is random,
  // since another member may be recovered to the same counter.
  ++facts.identity.generation.counter;
  facts.identity.generation.origin = RandomNumber(storage);
  RINGRAFT_TRYV(storage.Store().Set(kGenerationKey, EncodeGeneration(facts.identity.generation)));
  HardState hard_state;
  hard_state.term = std::max(facts.hard_state.term, facts.last_term) + 1;
  hard_state.vote = facts.identity.node;
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, Alone(facts).Encode());
  const BatchRef batch = builder.Seal(facts.last_index + 1, hard_state.term, facts.identity.node, group, now_ns);
  RINGRAFT_TRYV(storage.Commit(hard_state, std::nullopt, std::span<const BatchRef>(&batch, 1)));
  return facts;
}

}  // namespace ringraft::node
