#include "core_driver/fixtures.h"

namespace ringraft::core {

Peer MakePeer(uint64_t id) { return Peer(NodeId(id), Addr("127.0.0.1:" + std::to_string(7100 + id))); }

Configuration MakeConfiguration(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& old_voters) {
  Configuration configuration;
  for (uint64_t id : voters) configuration.voters.push_back(MakePeer(id));
  for (uint64_t id : old_voters) configuration.old_voters.push_back(MakePeer(id));
  return configuration;
}

ConfigChange Change(const std::vector<Peer>& added, const std::vector<NodeId>& removed) {
  ConfigChange change;
  for (const Peer& peer : added) change.AddVoter(peer);
  for (NodeId id : removed) change.Remove(id);
  return change;
}

BatchRef Commands(uint64_t first, uint64_t term, uint32_t count, uint64_t leader, const std::string& text) {
  BatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) builder.Add(LogEntryType::kCommand, text);
  return builder.Seal(Index(first), Term(term), NodeId(leader), kGroup, 0);
}

BatchRef ConfigurationBatch(uint64_t index, uint64_t term, const Configuration& configuration, uint64_t leader) {
  BatchBuilder builder;
  builder.Add(LogEntryType::kConfiguration, configuration.Encode());
  return builder.Seal(Index(index), Term(term), NodeId(leader), kGroup, 0);
}

CoreOptions TestOptions(uint64_t self) {
  CoreOptions options;
  options.self = NodeId(self);
  options.group = kGroup;
  options.election_timeout_min = 300 * kMs;
  options.election_timeout_max = 500 * kMs;
  options.heartbeat_interval = 50 * kMs;
  options.seed = 1;
  options.catch_up_rounds = 0;
  return options;
}

}  // namespace ringraft::core
