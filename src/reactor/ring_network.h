// The network of the production host: KJ streams on the ring.
#pragma once

#include <memory>

#include "reactor/host.h"
#include "reactor/poller.h"
#include "reactor/resolver.h"
#include "reactor/socket.h"

namespace ringraft::reactor {

class RingNetwork final : public Network {
 public:
  // How long `Listen` waits for the look-up of a name.
  static constexpr Duration kListenPatience = std::chrono::seconds(10);

  RingNetwork(Poller& poller, Resolver& resolver) : poller_(poller), resolver_(resolver) {}

  Task<Result<KjStream>> Connect(Addr addr, Duration timeout) override;
  Result<std::unique_ptr<KjListener>> Listen(const Addr& addr) override;

  // The same with sockets for coroutines. Cancelling: see Network::Connect.
  Task<Result<Socket>> ConnectSocket(Addr addr, Duration timeout);
  // Numeric addresses only.
  Result<Listener> ListenSocket(const Addr& addr);

 private:
  Poller& poller_;
  Resolver& resolver_;
};

}  // namespace ringraft::reactor
