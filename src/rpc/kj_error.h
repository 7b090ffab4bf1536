// The one place that turns a KJ exception into an Error. Its text is not kept: it names source files and lines.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <kj/exception.h>

#include "ringraft/errc.h"

namespace ringraft::rpc {

// The error of a sent call that ended with an exception instead of a reply.
Error ToError(const kj::Exception& exception);

}  // namespace ringraft::rpc
