#include "reactor/ring_network.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/format.h"
#include "base/try.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "reactor/connect.h"
#include "reactor/kj_stream.h"

namespace ringraft::reactor {
namespace {

KjStream MakeStream(Socket socket) {
  return KjStream(kj::Own<kj::AsyncIoStream>(kj::heap<RingStream>(std::move(socket))));
}

// Accepts from several sockets: each has a coroutine that holds at most one connection until it is taken.
class RingListener final : public KjListener {
 public:
  RingListener(coro::Loop& loop, std::vector<Listener> listeners)
      : listeners_(std::move(listeners)), changed_(loop), accepting_(loop) {}

  Task<Result<KjStream>> Accept() override {
    if (listeners_.size() == 1) return AcceptFrom(listeners_.front());
    return AcceptFromAny();
  }

 private:
  static Task<Result<KjStream>> AcceptFrom(Listener& listener) {
    auto accept = listener.Accept();
    auto socket = co_await accept;
    RINGRAFT_CO_TRY(accepted, std::move(socket));
    co_return MakeStream(std::move(accepted));
  }

  Task<Result<KjStream>> AcceptFromAny() {
    if (accepting_.size() == 0) {
      accepted_.resize(listeners_.size());
      for (size_t i = 0; i < listeners_.size(); ++i) accepting_.Start(Fill(i));
    }
    while (true) {
      for (size_t i = 0; i < accepted_.size(); ++i) {
        std::optional<Result<Socket>>& slot = accepted_[(next_ + i) % accepted_.size()];
        if (!slot) continue;
        next_ = (next_ + i + 1) % accepted_.size();  // in turn
        Result<Socket> socket = std::move(*slot);
        slot.reset();
        changed_.Notify();
        RINGRAFT_CO_TRY(taken, std::move(socket));
        co_return MakeStream(std::move(taken));
      }
      auto changed = changed_.Wait();
      co_await changed;
    }
  }

  Task<void> Fill(size_t i) {
    while (true) {
      auto accept = listeners_[i].Accept();
      auto socket = co_await accept;
      accepted_[i].emplace(std::move(socket));
      changed_.Notify();
      while (accepted_[i]) {
        auto changed = changed_.Wait();
        co_await changed;
      }
    }
  }

  std::vector<Listener> listeners_;
  std::vector<std::optional<Result<Socket>>> accepted_;
  size_t next_ = 0;
  coro::Signal changed_;
  coro::Scope accepting_;
};

}  // namespace

Task<Result<Socket>> RingNetwork::ConnectSocket(Addr addr, Duration timeout) {
  const TimePoint deadline = poller_.loop().Now() + timeout;
  RINGRAFT_CO_TRY(where, SplitAddr(addr));
  auto resolve = resolver_.Resolve(std::move(where), deadline);
  auto resolved = co_await resolve;
  if (!resolved)
    co_return Error(resolved.error().code(), fmt::format("cannot connect to {}: {}", addr, resolved.error().message()));
  auto connect = ConnectTo(poller_, addr, std::move(resolved).value(), deadline);
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
  RINGRAFT_TRY(where, SplitAddr(addr));
  auto resolved = resolver_.ResolveWithin(where, kListenPatience);
  if (!resolved) return Error(Errc::kIo, fmt::format("cannot listen on {}: {}", addr, resolved.error().message()));
  RINGRAFT_TRY(listeners, ListenOnAll(poller_, addr, resolved.value()));
  return std::unique_ptr<KjListener>(std::make_unique<RingListener>(poller_.loop(), std::move(listeners)));
}

Result<Listener> RingNetwork::ListenSocket(const Addr& addr) {
  RINGRAFT_TRY(where, SplitAddr(addr));
  RINGRAFT_TRY(listeners, ListenOnAll(poller_, addr, ResolveNumeric(where)));
  return std::move(listeners.front());
}

}  // namespace ringraft::reactor
