#include "rpc/acked_bytes.h"

#include <kj/exception.h>
#include <linux/tcp.h>  // that of the C library lacks the field
#include <netinet/in.h>

#include <cstddef>

namespace ringraft::rpc {

std::optional<uint64_t> AckedBytes(kj::AsyncIoStream& stream) {
  tcp_info info{};
  kj::uint length = sizeof info;
  try {
    stream.getsockopt(IPPROTO_TCP, TCP_INFO, &info, &length);
  } catch (const kj::Exception&) {
    return std::nullopt;
  }
  if (length < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) return std::nullopt;
  return info.tcpi_bytes_acked;
}

}  // namespace ringraft::rpc
