// The requests of operators: what the tool `ringraft` calls over a node's peer port.
#pragma once

#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/rpc.h"
#include "ringraft/status.h"
#include "ringraft/task.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

struct AdminStatus {
  Identity identity;  // `process` and `earlier` are not sent over the wire
  GroupId group;
  RaftStatus raft;
};

// Implemented by the node and returned by `RpcService::Admin`. Called on the reactor's thread. Each function is the
// member of `Raft` of the same name: its errors, with messages for people, and kStopped while the node stops. Losing
// the connection does not cancel a request: the transport keeps the task until it ends. `timeout` becomes the call's
// deadline.
class AdminService {
 public:
  virtual ~AdminService() = default;
  virtual Result<AdminStatus> Status() = 0;
  virtual Task<Result<void>> ChangeConfig(ConfigChange change, Duration timeout) = 0;
  virtual Task<Result<void>> AbortConfigChange() = 0;
  virtual Task<Result<void>> TransferLeadership(NodeId to, Duration timeout) = 0;
};

}  // namespace ringraft
