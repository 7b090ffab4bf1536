// The checks that both ends of a connection make in the handshake.
#pragma once

#include <string>
#include <string_view>

#include "ringraft/errc.h"
#include "ringraft/rpc.h"

namespace ringraft::rpc {

// Errors: kWrongVersion. `where` names the other end: "the peer at 127.0.0.1:7101".
Result<void> CheckVersion(uint32_t version, std::string_view where);
// `expected` is the node that the caller wants to reach, `actual` the one that it has reached. Errors: kWrongNode.
Result<void> CheckNode(NodeId expected, NodeId actual, std::string_view where);
// A node that does not know its cluster yet checks nothing here; its service decides (RpcService::OnHandshake).
// Errors: kWrongCluster.
Result<void> CheckCluster(ClusterId ours, ClusterId theirs, std::string_view where);

}  // namespace ringraft::rpc
