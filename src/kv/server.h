// Accepts Redis clients and owns their connections. Reactor thread only.
#pragma once

#include <memory>
#include <vector>

#include "base/list.h"
#include "coro/scope.h"
#include "coro/signal.h"
#include "kv/budget.h"
#include "kv/connection.h"
#include "kv/options.h"
#include "reactor/poller.h"
#include "reactor/socket.h"

namespace ringraft::kv {

class Server {
 public:
  Server(coro::Loop& loop, reactor::Poller& poller, Raft& raft, const KeyValueStore& store,
         const KvOptions& options);
  // Ends the connections that are left. Not from inside one of them.
  ~Server() = default;
  Server(const Server&) = delete;

  // Binds the clients' port on each of the addresses. Errors: kIo that names `addr`.
  Result<void> Listen(const Addr& addr, const reactor::SocketAddresses& addresses);
  // From here on clients are served.
  void Start();
  // Accepts no more clients, gives the replies in flight at most `bound` to be sent, and ends all connections.
  Task<void> Stop(Duration bound);

 private:
  Task<void> Accept(reactor::Listener& listener);
  Task<void> Serve(reactor::Socket socket);

  coro::Loop& loop_;
  reactor::Poller& poller_;
  Logger& logger_;
  ServerFacts facts_;
  CallBudget budget_;
  ConnectionContext context_;
  std::vector<reactor::Listener> listeners_;
  base::List<Connection> connections_;
  coro::Signal connection_ended_;
  coro::Scope scope_;  // the last member: its coroutines use the others
};

}  // namespace ringraft::kv
