// What the commands see of the world: nodes that answer, and the time. `KjNetwork` is the real one; tests play another.
#pragma once

#include <memory>
#include <variant>

#include "ringraft/admin.h"

namespace ringraft::cli {

struct AbortChange {};
struct TransferLeadership {
  NodeId to;  // 0: the member with most of the log
};
// What only the leader does.
using Order = std::variant<ConfigChange, AbortChange, TransferLeadership>;

// A node that has let us in.
class Node {
 public:
  virtual ~Node() = default;
  // Errors: the node's; kTimedOut, kUnknown, kProtocol.
  virtual Result<AdminStatus> Status(TimePoint deadline) = 0;
  // The same; after kUnknown, kTimedOut and kProtocol the order may have been carried out, or be so later.
  virtual Result<void> Do(const Order& order, TimePoint deadline) = 0;
};

class Network {
 public:
  virtual ~Network() = default;
  // Errors: kUnreachable, kTimedOut, kInvalidArgument, and the node's if it does not let us in. They name the address.
  virtual Result<std::unique_ptr<Node>> Connect(const Addr& addr, TimePoint deadline) = 0;
  virtual TimePoint Now() = 0;
  virtual void Sleep(Duration duration) = 0;
};

}  // namespace ringraft::cli
