// Calls that only a leader serves: changes of the members, their abort, and transfers of the leadership. Reactor only;
// owned by Calls.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/core.h"
#include "coro/loop.h"
#include "node/call_ender.h"
#include "node/call_slot.h"
#include "node/deadlines.h"
#include "node/node_control.h"
#include "node/node_logger.h"
#include "ringraft/options.h"

namespace ringraft::node {

class LeaderCalls {
 public:
  struct Parts {
    const Options& options;
    coro::Loop& loop;
    core::Core& core;
    Deadlines& deadlines;
    CallEnder& calls;
    NodeControl& control;
    const NodeLogger& log;
  };
  explicit LeaderCalls(const Parts& parts);

  // A call of any kind but kCommands has arrived.
  void Dispatch(CallSlot& slot, uint32_t generation);
  // A change has not begun while its new voters catch up: it ends along with its call, with `why`. False if the call is
  // not of such a change.
  bool EndCatchUp(CallSlot& slot, uint32_t generation, const Error& why);

  // End of the turn: end the calls with a known outcome.
  void CheckConfig();
  void CheckTransfer();

  void OnLeadershipLost();
  void OnStop();

 private:
  struct ConfigCall {
    CallSlot* slot;
    uint32_t generation;
    core::ConfigTicket ticket;
  };
  struct TransferCall {
    CallSlot* slot;
    uint32_t generation;
    NodeId to;
  };

  void ChangeConfig(CallSlot& slot, uint32_t generation);
  void AbortConfig(CallSlot& slot, uint32_t generation);
  void Transfer(CallSlot& slot, uint32_t generation);

  const Options& options_;
  coro::Loop& loop_;
  core::Core& core_;
  Deadlines& deadlines_;
  CallEnder& calls_;
  NodeControl& control_;
  const NodeLogger& log_;
  std::vector<ConfigCall> config_calls_;
  std::optional<TransferCall> transfer_call_;
};

}  // namespace ringraft::node
