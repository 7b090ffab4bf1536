// How far the peer's TCP has got with what was sent: it tells a slow link from a dead one.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <kj/async-io.h>

#include <cstdint>
#include <optional>

namespace ringraft::rpc {

// The bytes that the peer's TCP has acknowledged since the connection was made. Absent where the stream is not TCP (the
// simulator's), or the kernel is older than Linux 4.1.
std::optional<uint64_t> AckedBytes(kj::AsyncIoStream& stream);

}  // namespace ringraft::rpc
