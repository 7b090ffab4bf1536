#include "rpc/handshake.h"

#include <fmt/format.h>

#include "base/format.h"

namespace ringraft {

std::string ToString(ClusterId id) { return fmt::format("{:016x}{:016x}", id.high, id.low); }

std::string ToString(const Generation& generation) {
  return fmt::format("{} ({:016x})", generation.counter, generation.origin);
}

namespace rpc {

Result<void> CheckVersion(uint32_t version, std::string_view where) {
  if (version == kProtocolVersion) return Success();
  return Error(Errc::kWrongVersion,
               fmt::format("{} speaks version {} of the protocol, this node version {}; upgrade the older of the two",
                           where, version, kProtocolVersion));
}

Result<void> CheckNode(NodeId expected, NodeId actual, std::string_view where) {
  if (expected == actual) return Success();
  return Error(Errc::kWrongNode,
               fmt::format("{} is node {}, not node {}; correct the address or the ID in the configuration", where,
                           actual, expected));
}

Result<void> CheckCluster(ClusterId ours, ClusterId theirs, std::string_view where) {
  if (!ours || ours == theirs) return Success();
  return Error(Errc::kWrongCluster,
               fmt::format("{} belongs to cluster {}, this node to cluster {}; correct the address, or "
                           "start one of the two with an empty data directory",
                           where, ToString(theirs), ToString(ours)));
}

}  // namespace rpc
}  // namespace ringraft
