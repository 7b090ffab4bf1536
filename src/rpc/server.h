// The serving half of the transport: the listener, the incoming connections (incoming.h), and the coroutines of the
// service that run their calls. Owned by the transport.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "coro/scope.h"
#include "reactor/host.h"
#include "ringraft/rpc.h"
#include "rpc/incoming.h"
#include "rpc/rate_limited_log.h"

namespace ringraft::rpc {

class Server final : private coro::TurnEndNode {
 public:
  Server(reactor::Host& host, const RpcOptions& options, Logger& logger);
  ~Server();

  Result<void> Listen(const Addr& addr);
  Result<void> Serve();
  void Register(RpcService& service, std::function<Identity()> identity);
  // Destroys the connections, then the running calls. Called in a turn, but not from inside a call of the service.
  void Close();

  size_t connections() const { return connections_.size(); }
  size_t unfinished_calls() const { return calls_.size(); }

 private:
  Task<void> AcceptLoop();
  void Accept(reactor::KjStream stream);
  void OnTurnEnd() override;  // drops connections that have ended

  reactor::Host& host_;
  coro::Loop& loop_;
  const RpcOptions options_;
  RateLimitedLog log_;
  RpcService* service_ = nullptr;
  std::function<Identity()> identity_;
  std::unique_ptr<reactor::KjListener> listener_;
  std::optional<IncomingContext> context_;  // set by `Serve`
  coro::Scope calls_;
  coro::Scope accepting_;
  std::vector<std::unique_ptr<IncomingConnection>> connections_;
  bool is_closed_ = false;
};

}  // namespace ringraft::rpc
