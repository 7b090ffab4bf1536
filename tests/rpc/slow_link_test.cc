// Appends over links that need longer than call_timeout for one.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "harness.h"

namespace ringraft::rpc_test {
namespace {

using std::chrono::milliseconds;

TEST_SUITE_BEGIN("rpc slow links");

constexpr int kBuffer = 64 << 10;  // of the receiving socket: what it takes ahead, the link has not carried

// Forwards one connection, and takes only so many bytes a millisecond of the caller.
class SlowLink {
 public:
  SlowLink(World& world, const Node& target, size_t bytes_a_ms)
      : world_(world), target_(target), bytes_a_ms_(bytes_a_ms), listener_(::socket(AF_INET, kKind, 0)) {
    ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &kBuffer, sizeof kBuffer);
    sockaddr_in address = At(0);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~SlowLink() {
    for (const int fd : {listener_, caller_, server_})
      if (fd >= 0) ::close(fd);
  }

  Addr addr() const { return Loopback(port_); }
  size_t carried() const { return carried_; }
  void RunUntil(const std::function<bool()>& condition) {
    world_.RunUntil([&]() {
      Carry();
      return condition();
    });
  }

 private:
  static constexpr int kKind = SOCK_STREAM | SOCK_NONBLOCK;
  static sockaddr_in At(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }

  void Carry() {
    if (caller_ < 0) {
      caller_ = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (caller_ < 0) return;
      server_ = ::socket(AF_INET, kKind, 0);
      const sockaddr_in address = At(target_.port);
      (void)::connect(server_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      begun_ = Clock::now();
    }
    const auto age = std::chrono::duration_cast<milliseconds>(Clock::now() - begun_);
    const size_t may = (static_cast<size_t>(age.count()) + 1) * bytes_a_ms_;
    while (carried_ < may) {
      const ssize_t sent = Move(caller_, server_, std::min(may - carried_, size_t{16} << 10));
      if (sent <= 0) break;
      carried_ += static_cast<size_t>(sent);
    }
    while (Move(server_, caller_, 4096) > 0) {
    }
  }
  // Takes only what the other side can be given at once.
  static ssize_t Move(int from, int to, size_t bytes) {
    std::string buffer(bytes, '\0');
    const ssize_t got = ::recv(from, buffer.data(), buffer.size(), MSG_PEEK);
    if (got <= 0) return got;
    const ssize_t sent = ::send(to, buffer.data(), static_cast<size_t>(got), MSG_NOSIGNAL);
    if (sent > 0) (void)::recv(from, buffer.data(), static_cast<size_t>(sent), 0);
    return sent;
  }

  World& world_;
  const Node& target_;
  size_t bytes_a_ms_;
  int listener_, caller_ = -1, server_ = -1;
  uint16_t port_ = 0;
  TimePoint begun_;
  size_t carried_ = 0;
};

RpcOptions WithTimeout(Duration timeout) {
  RpcOptions options;
  options.call_timeout = timeout;
  return options;
}

TEST_CASE("a slow link delivers an append that takes several times call_timeout, and those after it") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, WithTimeout(milliseconds(100))), b(world, 2);
  SlowLink link(world, b, 8000);
  Running<AppendEntriesResults> first(
      world, a.rpc->CallAppendEntries(link.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 3 << 20)})));
  Running<AppendEntriesResults> second(
      world, a.rpc->CallAppendEntries(link.addr(), AppendTo(a, b, {MakeTestBatch(2, 5, 1 << 20)})));
  link.RunUntil([&]() { return first.is_done() && second.is_done(); });
  CHECK(*first.result);
  CHECK(*second.result);
  CHECK(b.service.handshakes.size() == 1);
}

TEST_CASE("an append that has arrived and gets no reply times out, although bytes of later ones move") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, WithTimeout(milliseconds(100))), b(world, 2);
  b.service.Hold();
  SlowLink link(world, b, 8000);
  Running<AppendEntriesResults> first(
      world, a.rpc->CallAppendEntries(link.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 10)})));
  link.RunUntil([&]() { return b.service.appends.size() == 1; });
  Running<AppendEntriesResults> second(
      world, a.rpc->CallAppendEntries(link.addr(), AppendTo(a, b, {MakeTestBatch(2, 5, 16 << 20)})));
  link.RunUntil([&]() { return first.is_done(); });
  CHECK(first.result->error() == Errc::kTimedOut);
  CHECK(link.carried() < size_t{8} << 20);
}

TEST_CASE("a link that moves hardly anything does not hold an append forever") {
  World world;
  Node a(world, 1, ClusterId{1, 2}, WithTimeout(milliseconds(10))), b(world, 2);
  SlowLink link(world, b, 8000);
  Running<AppendEntriesResults> append(
      world, a.rpc->CallAppendEntries(link.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 16 << 20)})));
  link.RunUntil([&]() { return append.is_done(); });
  CHECK(append.result->error() == Errc::kTimedOut);
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::rpc_test
