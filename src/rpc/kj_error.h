// The one place where a KJ exception becomes an error of ours. Nothing of its text is kept: it names source lines.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <kj/exception.h>

#include "ringraft/errc.h"

namespace ringraft::rpc {

// What a call that has been sent ended with, if it ended with an exception instead of an answer.
Error ToError(const kj::Exception& exception);

}  // namespace ringraft::rpc
