#include "reactor/resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ringraft::reactor {
namespace {

int Lookup(const HostPort& where, int flags, SocketAddresses& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const bool is_any = where.host.empty() || where.host == "*";
  const char* host = is_any ? "0.0.0.0" : where.host.c_str();
  const int error = ::getaddrinfo(host, where.port.c_str(), &hints, &list);
  if (error != 0) return error;
  for (addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    SocketAddress address;
    if (entry->ai_addrlen > sizeof(address.storage)) continue;
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
    found.push_back(address);
  }
  ::freeaddrinfo(list);
  return 0;
}

}  // namespace

Result<HostPort> SplitAddr(const Addr& addr) {
  const std::string& text = addr.text();
  const size_t colon = text.rfind(':');
  const auto malformed = [&](const char* why) {
    return Error(Errc::kInvalidArgument,
                 fmt::format("invalid address '{}': {}; write host:port or [v6-address]:port", text, why));
  };
  if (colon == std::string::npos) return malformed("the port is missing");
  HostPort result;
  result.host = text.substr(0, colon);
  result.port = text.substr(colon + 1);
  unsigned port = 0;
  const char* end = result.port.data() + result.port.size();
  const auto [stop, error] = std::from_chars(result.port.data(), end, port);
  if (error != std::errc() || stop != end || port > 65535) {
    return malformed("the port must be an integer from 0 to 65535");
  }
  if (!result.host.empty() && result.host.front() == '[') {
    if (result.host.back() != ']') return malformed("the closing bracket is missing");
    result.host = result.host.substr(1, result.host.size() - 2);
  } else if (result.host.find(':') != std::string::npos) {
    return malformed("an IPv6 address needs brackets");
  }
  if (result.host.size() > 255) return malformed("the host is longer than 255 bytes");
  if (std::any_of(result.host.begin(), result.host.end(), [](unsigned char c) { return c <= ' ' || c == 0x7f; })) {
    return malformed("the host contains a space or control character");
  }
  return result;
}

SocketAddresses ResolveNumeric(const HostPort& where) {
  SocketAddresses found;
  Lookup(where, AI_NUMERICHOST, found);
  return found;
}

Result<SocketAddresses> ResolveBlocking(const HostPort& where) {
  SocketAddresses found;
  const int error = Lookup(where, 0, found);
  if (error != 0 || found.empty()) {
    return Error(Errc::kUnreachable, fmt::format("cannot resolve '{}': {}; check the name or use a numeric address",
                                                 where.host, error != 0 ? ::gai_strerror(error) : "no address"));
  }
  return found;
}

}  // namespace ringraft::reactor
