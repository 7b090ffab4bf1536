#include "line_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "ringraft/options.h"

namespace ringraft::bench {
namespace {

constexpr size_t kMaxLine = 4096;
constexpr int kMaxWaitMs = 5000;

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<Addresses> Resolve(const Addr& addr, int flags) {
  Result<Addr> checked = ParseAddr(addr.text());
  if (!checked) return checked.error();
  const std::string& text = addr.text();
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(host.c_str(), text.substr(colon + 1).c_str(), &hints, &list);
  if (code != 0) return Error(Errc::kInvalidArgument, fmt::format("{}: {}", text, gai_strerror(code)));
  return Addresses(list);
}

// A connect that ends within kMaxWaitMs.
bool ConnectTo(int fd, const addrinfo& to) {
  if (connect(fd, to.ai_addr, to.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  pollfd ready{fd, POLLOUT, 0};
  int error = ETIMEDOUT;
  socklen_t size = sizeof error;
  if (poll(&ready, 1, kMaxWaitMs) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  return error == 0;
}

}  // namespace

Message Message::Parse(const std::string& line) {
  Message message;
  std::istringstream in(line);
  in >> message.word;
  if (line.size() > message.word.size()) message.rest = line.substr(message.word.size() + 1);
  for (std::string field; in >> field;) {
    const size_t equals = field.find('=');
    if (equals != std::string::npos) message.fields[field.substr(0, equals)] = field.substr(equals + 1);
  }
  return message;
}

std::string Message::Text(const std::string& key) const {
  const auto found = fields.find(key);
  return found == fields.end() ? std::string() : found->second;
}

double Message::Number(const std::string& key) const { return std::strtod(Text(key).c_str(), nullptr); }

uint64_t Message::Count(const std::string& key) const { return std::strtoull(Text(key).c_str(), nullptr, 10); }

LineSocket::~LineSocket() { close(fd_); }

Result<std::unique_ptr<LineSocket>> LineSocket::Connect(const Addr& addr) {
  Result<Addresses> addresses = Resolve(addr, 0);
  if (!addresses) return addresses.error();
  int error = 0;
  for (const addrinfo* to = addresses.value().get(); to != nullptr; to = to->ai_next) {
    const int fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
    if (fd >= 0 && ConnectTo(fd, *to)) {
      const int one = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      return std::make_unique<LineSocket>(fd);
    }
    error = errno;
    if (fd >= 0) close(fd);
  }
  return Error(Errc::kUnreachable,
               fmt::format("{}: {}; is a node running with this --control?", addr.text(), std::strerror(error)));
}

bool LineSocket::Send(std::string_view line) {
  std::string bytes(line);
  bytes += '\n';
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t n = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<size_t>(n);
      continue;
    }
    pollfd ready{fd_, POLLOUT, 0};
    if (errno != EAGAIN || poll(&ready, 1, kMaxWaitMs) != 1) return false;
  }
  return true;
}

Result<Message> LineSocket::Receive(Duration max_wait, Signals& signals) {
  for (const TimePoint deadline = Clock::now() + max_wait;;) {
    if (const size_t end = received_.find('\n'); end != std::string::npos) {
      const std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return Message::Parse(line);
    }
    if (received_.size() > kMaxLine) return Error(Errc::kProtocol, "a line longer than 4096 bytes");
    const bool is_ready = signals.Wait(deadline - Clock::now(), fd_);
    if (signals.is_asked_to_stop()) return Error(Errc::kStopped, "interrupted");
    if (!is_ready && Clock::now() >= deadline) return Error(Errc::kTimedOut, "no answer in time");
    if (!is_ready) continue;
    char bytes[kMaxLine];
    const ssize_t n = recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0) received_.append(bytes, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN)) return Error(Errc::kUnreachable, "the connection was closed");
  }
}

bool LineSocket::IsClosed() const {
  char byte;
  const ssize_t n = recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

Result<int> ListenOn(const Addr& addr) {
  Result<Addresses> addresses = Resolve(addr, AI_PASSIVE);
  if (!addresses) return addresses.error();
  const addrinfo& at = *addresses.value();
  const int fd = socket(at.ai_family, at.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, at.ai_protocol);
  const int one = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd >= 0 && bind(fd, at.ai_addr, at.ai_addrlen) == 0 && listen(fd, 16) == 0) return fd;
  Error error(Errc::kIo, fmt::format("--control {}: {}; choose another port", addr.text(), std::strerror(errno)));
  if (fd >= 0) close(fd);
  return error;
}

}  // namespace ringraft::bench
