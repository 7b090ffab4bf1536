#include "reactor/ring_network.h"

#include <fmt/format.h>

#include <utility>

#include "base/format.h"
#include "base/try.h"
#include "reactor/kj_stream.h"

namespace ringraft::reactor {
namespace {

KjStream MakeStream(Socket socket) {
  return KjStream(kj::Own<kj::AsyncIoStream>(kj::heap<RingStream>(std::move(socket))));
}

class RingListener final : public KjListener {
 public:
  explicit RingListener(Listener listener) : listener_(std::move(listener)) {}

  Task<Result<KjStream>> Accept() override {
    auto accept = listener_.Accept();
    auto socket = co_await accept;
    RINGRAFT_CO_TRY(accepted, std::move(socket));
    co_return MakeStream(std::move(accepted));
  }

 private:
  Listener listener_;
};

// Shared by the thread that resolves and the coroutine that waits; either may end first.
struct Resolution {
  HostPort where;
  Result<std::vector<SocketAddress>> result = Errc::kUnreachable;
};

}  // namespace

Task<Result<Socket>> RingNetwork::ConnectSocket(Addr addr, Duration timeout) {
  const TimePoint deadline = poller_.loop().Now() + timeout;
  RINGRAFT_CO_TRY(where, SplitAddr(addr));
  std::vector<SocketAddress> addresses = ResolveNumeric(where);
  if (addresses.empty()) {
    auto resolution = std::make_shared<Resolution>();
    resolution->where = where;
    std::function<void()> work = [resolution] { resolution->result = ResolveBlocking(resolution->where); };
    auto run = offload_.Run(std::move(work), deadline);
    const bool is_done = co_await run;
    if (!is_done) {
      co_return Error(Errc::kTimedOut,
                      fmt::format("cannot connect to {}: its name was not resolved in time", addr));
    }
    RINGRAFT_CO_TRY(resolved, std::move(resolution->result));
    addresses = std::move(resolved);
  }
  auto connect = ConnectTo(poller_, addr, std::move(addresses), deadline);
  auto socket = co_await connect;
  co_return socket;
}

Task<Result<KjStream>> RingNetwork::Connect(Addr addr, Duration timeout) {
  auto connect = ConnectSocket(std::move(addr), timeout);
  auto socket = co_await connect;
  RINGRAFT_CO_TRY(connected, std::move(socket));
  co_return MakeStream(std::move(connected));
}

Result<std::unique_ptr<KjListener>> RingNetwork::Listen(const Addr& addr) {
  RINGRAFT_TRY(listener, Listener::Listen(poller_, addr));
  return std::unique_ptr<KjListener>(std::make_unique<RingListener>(std::move(listener)));
}

}  // namespace ringraft::reactor
