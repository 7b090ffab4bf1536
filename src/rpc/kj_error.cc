#include "rpc/kj_error.h"

namespace ringraft::rpc {

Error ToError(const kj::Exception& exception) {
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED:
      return Error(Errc::kUnknown, "the connection ended before the peer replied");
    case kj::Exception::Type::OVERLOADED:
      return Error(Errc::kBusy, "the peer is overloaded; try again later");
    case kj::Exception::Type::UNIMPLEMENTED:
      return Error(Errc::kProtocol, "the peer does not know the call; upgrade the older of the two");
    case kj::Exception::Type::FAILED:
      break;
  }
  return Error(Errc::kProtocol, "the peer failed to process the call, or its reply is malformed");
}

}  // namespace ringraft::rpc
