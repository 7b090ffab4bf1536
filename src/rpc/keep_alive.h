// TCP keepalive, for idle connections: a machine that vanishes does not close its connections.
#pragma once

#include <kj/async-io.h>

namespace ringraft::rpc {

// Without it such a connection would stay open, and count against max_connections, forever. Has no effect on streams
// that are not sockets.
void KeepAlive(kj::AsyncIoStream& stream);

}  // namespace ringraft::rpc
