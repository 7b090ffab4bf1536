// How the parts of a node end a call with an error. Reactor only.
#pragma once

#include <cstdint>

#include "node/call_slot.h"
#include "ringraft/errc.h"

namespace ringraft::node {

class CallEnder {
 public:
  // No effect if the call of that generation has ended. One that ends with kNotLeader, so is certainly not in the log,
  // is forwarded instead if its options allow that. May run the caller inline.
  virtual void EndCall(CallSlot& slot, uint32_t generation, Error error) = 0;

 protected:
  ~CallEnder() = default;
};

}  // namespace ringraft::node
