// An address in the simulator with a transport of its own.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "coro/scope.h"
#include "ringraft/reactor.h"
#include "ringraft/rpc.h"
#include "sim/host.h"
#include "sim/net.h"
#include "sim/world.h"

namespace ringraft::sim {

// The replies that are the same for every fuzzed peer.
class AnyPeer : public RpcService {
 public:
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override {
    ForwardResults results;
    results.outcomes.resize(args.calls.size());
    co_return results;
  }
  Result<void> OnHandshake(const Identity&) override { return Success(); }
};

class Place {
 public:
  Place(World& world, Net& net, const char* address, const Identity& identity, RpcService& service)
      : host_(new SimHost(world, net, address, identity.node.value(), SilentLogger())),
        reactor_(std::unique_ptr<reactor::Host>(host_)),
        rpc_(MakeCapnpRpc(reactor_)),
        calls_(std::make_unique<coro::Scope>(host_->loop())) {
    RINGRAFT_ASSERT(rpc_->Listen(Addr(address)).has_value());
    rpc_->Register(service, [identity] { return identity; });
    RINGRAFT_ASSERT(rpc_->Serve().has_value());
    host_->ScheduleTurn();
  }
  ~Place() {
    host_->Crash();
    coro::Loop::Entered entered(host_->loop());
    calls_.reset();
    rpc_.reset();
  }
  Place(const Place&) = delete;

  // Starts the call in the next turn; this object owns it.
  void Start(std::function<Task<void>(Rpc&)> call) {
    host_->Deliver([this, call = std::move(call)] { calls_->Start(call(*rpc_)); });
  }

 private:
  SimHost* host_;
  Reactor reactor_;
  std::unique_ptr<Rpc> rpc_;
  std::unique_ptr<coro::Scope> calls_;
};

inline void RunFor(World& world, Nanos time) {
  const Nanos limit = world.now() + time;
  uint64_t events = 0;
  while (world.Step(limit)) RINGRAFT_ASSERT(++events < 1'000'000);
}

}  // namespace ringraft::sim
