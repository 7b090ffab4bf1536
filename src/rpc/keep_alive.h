// Probes for connections on which nothing is said: a peer whose machine has vanished sends no end of its connection.
#pragma once

#include <kj/async-io.h>

namespace ringraft::rpc {

// Without it the connection would be kept, and count against its limits, for ever. Streams that are no sockets refuse,
// and need none.
void KeepAlive(kj::AsyncIoStream& stream);

}  // namespace ringraft::rpc
