// Members, batches and options that the tests of the core share.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/core.h"

namespace ringraft::core {

constexpr Duration kMs = std::chrono::milliseconds(1);
inline const GroupId kGroup(7);

Peer MakePeer(uint64_t id);
Configuration MakeConfiguration(const std::vector<uint64_t>& voters, const std::vector<uint64_t>& old_voters = {});
ConfigChange Change(const std::vector<Peer>& added, const std::vector<NodeId>& removed);

template <class T>
Errc CodeOf(const Result<T>& result) {
  return result ? Errc::kOk : result.error().code();
}

// A batch of `count` commands.
BatchRef Commands(uint64_t first, uint64_t term, uint32_t count, uint64_t leader, const std::string& text = "x");
BatchRef ConfigurationBatch(uint64_t index, uint64_t term, const Configuration& configuration, uint64_t leader);

// Election timeouts of 300 to 500 ms, and no catch-up rounds: most tests are about what follows them.
CoreOptions TestOptions(uint64_t self);

}  // namespace ringraft::core
