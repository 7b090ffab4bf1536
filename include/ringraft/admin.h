// What an operator may ask of a node over its peer port, as the tool `ringraft` does.
#pragma once

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/rpc.h"
#include "ringraft/status.h"
#include "ringraft/task.h"
#include "ringraft/types.h"

namespace ringraft {

struct AdminStatus {
  Identity identity;  // over the wire without `process` and `earlier`
  GroupId group;
  RaftStatus raft;
};

// Implemented by the node (`RpcService::Admin` gives it out). Called on the reactor's thread; a call goes on when the
// connection that it came over has ended. Errors are those of the members of `Raft` with these names, in words for a
// person; kStopped while the node stops.
class AdminService {
 public:
  virtual ~AdminService() = default;
  virtual Result<AdminStatus> Status() = 0;
  virtual Task<Result<void>> ChangeConfig(ConfigChange change, Duration timeout) = 0;
  virtual Task<Result<void>> AbortConfigChange() = 0;
  virtual Task<Result<void>> TransferLeadership(NodeId to, Duration timeout) = 0;
};

}  // namespace ringraft
