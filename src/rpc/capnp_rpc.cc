// The default transport: the calling half (client.h) and the serving half (server.h).
#include "ringraft/reactor.h"
#include "ringraft/rpc.h"
#include "rpc/client.h"
#include "rpc/server.h"

namespace ringraft {
namespace {

class CapnpRpc final : public Rpc {
 public:
  CapnpRpc(reactor::Host& host, const RpcOptions& options)
      : server_(host, options, LoggerOf(host, options)), client_(host, options, LoggerOf(host, options)) {}
  ~CapnpRpc() override { CapnpRpc::Close(); }

  Result<void> Listen(const Addr& addr) override { return server_.Listen(addr); }
  Result<void> Serve() override { return server_.Serve(); }
  void Register(RpcService& service, std::function<Identity()> identity) override {
    server_.Register(service, identity);
    client_.Register(service, std::move(identity));
  }
  // Outgoing calls first: coroutines of the service that wait for them get kStopped before they are destroyed.
  void Close() override {
    client_.Close();
    server_.Close();
  }

  Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) override {
    return client_.AppendEntries(std::move(addr), std::move(args));
  }
  Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) override {
    return client_.RequestVote(std::move(addr), std::move(args));
  }
  Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) override {
    return client_.Forward(std::move(addr), std::move(args));
  }
  Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) override {
    return client_.Bootstrap(std::move(addr), std::move(args));
  }

 private:
  static Logger& LoggerOf(reactor::Host& host, const RpcOptions& options) {
    return options.logger != nullptr ? *options.logger : host.logger();
  }

  rpc::Server server_;
  rpc::Client client_;
};

}  // namespace

std::unique_ptr<Rpc> MakeCapnpRpc(Reactor& reactor, RpcOptions options) {
  if (options.control_timeout == Duration::zero()) options.control_timeout = options.call_timeout;
  return std::make_unique<CapnpRpc>(reactor.host(), options);
}

}  // namespace ringraft
