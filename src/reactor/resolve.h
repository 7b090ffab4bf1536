// "host:port" and "[v6]:port" as socket addresses.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft::reactor {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

using SocketAddresses = std::vector<SocketAddress>;

struct HostPort {
  std::string host;
  std::string port;  // decimal, 0 .. 65535
};

// Errors: kInvalidArgument.
Result<HostPort> SplitAddr(const Addr& addr);
// Numeric addresses only; never blocks. Empty if the host is a name. "" and "*" are every address of this machine.
SocketAddresses ResolveNumeric(const HostPort& where);
// Calls the system's resolver: blocks, with a silent DNS server for minutes; any thread. Errors: kUnreachable. For
// Resolver, which bounds the wait.
Result<SocketAddresses> ResolveBlocking(const HostPort& where);

}  // namespace ringraft::reactor
