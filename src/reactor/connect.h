// Connecting to a peer that may have several addresses, and listening on all of a node's own.
#pragma once

#include <vector>

#include "reactor/poller.h"
#include "reactor/resolve.h"
#include "reactor/socket.h"
#include "ringraft/task.h"

namespace ringraft::reactor {

// Connects to the first address that accepts before the deadline. Several are tried side by side, the next one after
// 250 ms (less if there are many) or when one has failed, families in turn (RFC 8305): an address that swallows packets
// costs a moment, not all the time there is. TCP with TCP_NODELAY. Errors, which name `addr`: kUnreachable, kTimedOut,
// kIo. Cancelling closes the sockets.
Task<Result<Socket>> ConnectTo(Poller& poller, Addr addr, SocketAddresses addresses, TimePoint deadline);

// Listens on each of the addresses, all with one port, also if it is 0 and the kernel chooses. Those that are not of
// this machine, or of a family that it does not have, are left out if there are others. Errors: kIo, naming `addr`.
Result<std::vector<Listener>> ListenOnAll(Poller& poller, const Addr& addr, const SocketAddresses& addresses);

}  // namespace ringraft::reactor
