// The network of the production host: KJ streams on the ring.
#pragma once

#include <memory>

#include "reactor/host.h"
#include "reactor/offload.h"
#include "reactor/poller.h"
#include "reactor/socket.h"

namespace ringraft::reactor {

class RingNetwork final : public Network {
 public:
  RingNetwork(Poller& poller, OffloadPool& offload) : poller_(poller), offload_(offload) {}

  Task<Result<KjStream>> Connect(Addr addr, Duration timeout) override;
  Result<std::unique_ptr<KjListener>> Listen(const Addr& addr) override;

  // The same with sockets for coroutines. Cancelling: see Network::Connect.
  Task<Result<Socket>> ConnectSocket(Addr addr, Duration timeout);
  Result<Listener> ListenSocket(const Addr& addr) { return Listener::Listen(poller_, addr); }

 private:
  Poller& poller_;
  OffloadPool& offload_;
};

}  // namespace ringraft::reactor
