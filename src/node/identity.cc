#include "node/identity.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/format.h"
#include "base/try.h"
#include "core/configuration.h"
#include "storage/commit_queue.h"

namespace ringraft::node {
namespace {

constexpr uint32_t kFormat = 1;
constexpr uint32_t kWitness = 1;  // a flag: the directory is for a log without commands

// The stored value, little-endian; schemas/stored.md says the same.
struct StoredIdentity {
  uint32_t format = kFormat;
  uint32_t flags = 0;
  uint64_t cluster_high = 0, cluster_low = 0;
  uint64_t node = 0, group = 0;
  uint64_t incarnation = 0, start_count = 0;
};
static_assert(sizeof(StoredIdentity) == 56);

Result<StoredIdentity> Decode(const std::string& value) {
  StoredIdentity stored;
  if (value.size() < 4)
    return Error(Errc::kCorrupt, "the stored identity of the data directory is shorter than its format number");
  std::memcpy(&stored.format, value.data(), sizeof stored.format);
  if (stored.format != kFormat)
    return Error(
        Errc::kWrongVersion,
        fmt::format("the data directory has format {} and this build knows format {}; use the build that wrote it",
                    stored.format, kFormat));
  if (value.size() != sizeof stored)
    return Error(
        Errc::kCorrupt,
        fmt::format(
            "the stored identity has {} bytes instead of {}; empty this node's data directory and readmit the node",
            value.size(), sizeof stored));
  std::memcpy(&stored, value.data(), sizeof stored);
  return stored;
}

// Older builds stored the first number alone.
struct StoredGeneration {
  uint64_t counter = 0, origin = 0;
};
static_assert(sizeof(StoredGeneration) == 16);

// The start count, and the processes of that start and of those before.
using Processes = std::array<uint64_t, 32>;
struct StoredProcesses {
  uint64_t start_count = 0;
  Processes processes{};
};
static_assert(sizeof(StoredProcesses) == 264);

std::string EncodeProcesses(const Identity& identity) {
  StoredProcesses stored;
  stored.start_count = identity.start_count;
  stored.processes[0] = identity.process;
  std::copy(identity.earlier.begin(), identity.earlier.end() - 1, stored.processes.begin() + 1);
  return std::string(reinterpret_cast<const char*>(&stored), sizeof stored);
}

// The processes up to this start. Unknown for a directory of an older build.
Processes DecodeProcesses(const std::string& value, uint64_t start_count) {
  StoredProcesses stored;
  if (value.size() != sizeof stored) return {};
  std::memcpy(&stored, value.data(), sizeof stored);
  Processes processes{};
  const uint64_t ahead = stored.start_count - start_count;  // 1 if the last start was interrupted
  if (ahead <= 1)
    std::copy(stored.processes.begin() + static_cast<ptrdiff_t>(ahead), stored.processes.end(), processes.begin());
  return processes;
}

}  // namespace

uint64_t RandomNumber(Storage& storage) {
  if (auto* hosted = dynamic_cast<storage::HostedStorage*>(&storage)) return hosted->RandomIncarnation();
  uint64_t value = 0;
  while (value == 0)
    if (getrandom(&value, sizeof value, 0) != sizeof value) value = 0;
  return value;
}

ClusterId NamedCluster(const Options& options) {
  std::string name;
  if (!options.cluster_name.empty()) {
    name = "name:" + options.cluster_name;
  } else if (!options.initial_members.empty()) {
    std::vector<Peer> members = options.initial_members;
    std::sort(members.begin(), members.end());
    name = "members:";
    for (const Peer& peer : members) name += fmt::format("{}={};", peer.id, peer.addr);
  } else {
    return ClusterId();
  }
  XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
  ClusterId id;
  id.high = hash.high64;
  id.low = hash.low64;
  return id;
}

std::string EncodeIdentity(const Identity& identity, const Options& options) {
  StoredIdentity stored;
  stored.flags = options.is_witness ? kWitness : 0;
  stored.cluster_high = identity.cluster.high;
  stored.cluster_low = identity.cluster.low;
  stored.node = identity.node.value();
  stored.group = options.group.value();
  stored.incarnation = identity.incarnation;
  stored.start_count = identity.start_count;
  return std::string(reinterpret_cast<const char*>(&stored), sizeof stored);
}

Result<Identity> DecodeIdentity(const std::string& value) {
  RINGRAFT_TRY(stored, Decode(value));
  Identity identity;
  identity.cluster = ClusterId{stored.cluster_high, stored.cluster_low};
  identity.node = NodeId(stored.node);
  identity.incarnation = stored.incarnation;
  identity.start_count = stored.start_count;
  return identity;
}

Generation FirstGeneration(std::string_view bootstrap_command) {
  Generation generation;
  generation.counter = 1;
  generation.origin = std::max<uint64_t>(XXH3_64bits(bootstrap_command.data(), bootstrap_command.size()), 1);
  return generation;
}

std::string EncodeGeneration(const Generation& generation) {
  StoredGeneration stored;
  stored.counter = generation.counter;
  stored.origin = generation.origin;
  return std::string(reinterpret_cast<const char*>(&stored), sizeof stored);
}

Result<Generation> ReadGeneration(Storage& storage, const RecoveredLog& recovered) {
  if (!recovered.last_index) return Generation();
  RINGRAFT_TRY(value, storage.Store().Get(kGenerationKey));
  StoredGeneration stored;
  if (!value.empty() && value.size() != sizeof stored.counter && value.size() != sizeof stored)
    return Error(Errc::kCorrupt, fmt::format("the stored generation has {} bytes instead of {}; empty this node's "
                                             "data directory and readmit the node",
                                             value.size(), sizeof stored));
  std::memcpy(&stored, value.data(), value.size());
  Generation generation;
  generation.counter = std::max<uint64_t>(stored.counter, 1);
  generation.origin = stored.origin;
  const bool has_bootstrap = !recovered.configurations.empty() && recovered.configurations.front().index == Index(1);
  if (generation.counter == 1 && has_bootstrap) return FirstGeneration(recovered.configurations.front().command);
  return generation;
}

namespace {

// The stored identity is that of a node of these options. `where` names the storage.
Result<void> CheckOwner(const StoredIdentity& stored, const Options& options, const std::string& where) {
  if (stored.node != options.id.value())
    return Error(Errc::kWrongNode, fmt::format("{} belongs to node {}, and this is node {}; give each node a directory "
                                               "of its own",
                                               where, stored.node, options.id));
  if (stored.group != options.group.value())
    return Error(Errc::kWrongNode, fmt::format("{} belongs to group {}, and this is group {}; give each group a "
                                               "directory of its own",
                                               where, stored.group, options.group));
  const bool was_witness = (stored.flags & kWitness) != 0;
  if (was_witness != options.is_witness)
    return Error(Errc::kInvalidArgument,
                 fmt::format("{} is that of {}, and the options say is_witness = {}; start it as it was, or begin with "
                             "an empty directory",
                             where, was_witness ? "a witness" : "a node with commands", options.is_witness));
  return Success();
}

// As of the last start, or a new one if the storage is empty.
Result<Identity> ReadIdentity(const Options& options, Storage& storage, const RecoveredLog& recovered) {
  const std::string where = options.data_dir.empty() ? "the storage" : "data directory " + options.data_dir;
  RINGRAFT_TRY(value, storage.Store().Get(kIdentityKey));
  Identity identity;
  identity.node = options.id;
  identity.cluster = NamedCluster(options);
  if (value.empty()) {
    if (recovered.last_index)
      return Error(
          Errc::kCorrupt,
          fmt::format("{} has a log up to index {} but no identity; it was not written by a node, or is damaged", where,
                      recovered.last_index));
    identity.incarnation = RandomNumber(storage);
    return identity;
  }
  RINGRAFT_TRY(stored, Decode(value));
  RINGRAFT_TRYV(CheckOwner(stored, options, where));
  RINGRAFT_TRY(refusal, storage.Store().Get(kRefusedKey));
  if (!refusal.empty())
    return Error(Errc::kDuplicateNode, fmt::format("{} has been refused before: {}", where, refusal));
  const ClusterId cluster{stored.cluster_high, stored.cluster_low};
  // Once there is a log it has the members, and a list that was brought up to date names no other cluster.
  const bool is_named = !options.cluster_name.empty() || !recovered.last_index;
  if (is_named && cluster && identity.cluster && cluster != identity.cluster)
    return Error(Errc::kWrongCluster, fmt::format("{} belongs to cluster {}, and the options name cluster {}; check "
                                                  "the cluster name, the member list and the directory",
                                                  where, ToString(cluster), ToString(identity.cluster)));
  if (cluster) identity.cluster = cluster;
  identity.incarnation = stored.incarnation;
  identity.start_count = stored.start_count;
  return identity;
}

// The log is empty, so it belongs to no generation. A crash may have stored a leader's generation without its entries;
// it is forgotten, or a future log would inherit it.
Result<void> ForgetGeneration(Storage& storage) {
  RINGRAFT_TRY(stored, storage.Store().Get(kGenerationKey));
  if (stored.empty()) return Success();
  return storage.Store().Set(kGenerationKey, EncodeGeneration(Generation()));
}

// Makes this the next start of the directory, durably.
Result<void> RecordStart(const Options& options, Storage& storage, Identity& identity) {
  ++identity.start_count;
  identity.process = RandomNumber(storage);
  // The processes first: a start that is cut short between the two writes is repeated, and no peer has seen its
  // process.
  RINGRAFT_TRYV(storage.Store().Set(kProcessesKey, EncodeProcesses(identity)));
  return storage.Store().Set(kIdentityKey, EncodeIdentity(identity, options));
}

}  // namespace

Result<Claim> ClaimStorage(const Options& options, Storage& storage, const RecoveredLog& recovered) {
  Claim claim;
  RINGRAFT_TRY(identity, ReadIdentity(options, storage, recovered));
  // Also if this directory has waited in vain to be added before: the cluster that it has learned is another one.
  if (options.bootstrap_as_leader && !recovered.last_index) {
    identity.cluster.high = RandomNumber(storage);
    identity.cluster.low = RandomNumber(storage);
  }
  RINGRAFT_TRY(processes, storage.Store().Get(kProcessesKey));
  identity.earlier = DecodeProcesses(processes, identity.start_count);
  RINGRAFT_TRY(generation, ReadGeneration(storage, recovered));
  identity.generation = generation;
  if (!recovered.last_index) RINGRAFT_TRYV(ForgetGeneration(storage));
  RINGRAFT_TRYV(RecordStart(options, storage, identity));
  claim.identity = identity;
  RINGRAFT_TRY(members, storage.Store().Get(kMembersKey));
  claim.members = std::move(members);
  RINGRAFT_TRY(starts, storage.Store().Get(kStartsKey));
  RINGRAFT_TRY(counts, StartCounts::Decode(starts));
  claim.starts = std::move(counts);
  return claim;
}

Result<void> BootstrapAlone(const Options& options, Identity& identity, Storage& storage, RecoveredLog& recovered) {
  if (!options.bootstrap_as_leader || recovered.last_index) return Success();
  core::Configuration alone;
  alone.voters.emplace_back(options.id, options.addr);
  alone.voters.back().incarnation = identity.incarnation;
  HardState hard_state = recovered.hard_state;
  hard_state.term = std::max(hard_state.term, Term(1));
  const BatchRef batch = core::BootstrapBatch(alone, options.group);
  identity.generation = FirstGeneration(alone.Encode());
  RINGRAFT_TRYV(storage.Commit(hard_state, std::nullopt, std::span<const BatchRef>(&batch, 1)));
  RINGRAFT_TRY(again, storage.Recover());
  recovered = std::move(again);
  return Success();
}

}  // namespace ringraft::node
