// What the parts of a node may do to the node as a whole. Reactor only.
#pragma once

#include "ringraft/errc.h"

namespace ringraft::node {

class NodeControl {
 public:
  // The core's state has changed: runs Node::OnTurnEnd at the end of this turn.
  virtual void Touch() = 0;
  // The node cannot continue (a failed disk, a broken log): stops it. The first error becomes the stop reason.
  virtual void Fail(Error error) = 0;
  // From the moment that its coroutines are cancelled.
  virtual bool is_stopping() const = 0;

 protected:
  ~NodeControl() = default;
};

}  // namespace ringraft::node
