// A node's transport between the node and the real one: reports requests and replies to the rules, and sends some calls
// twice.
#pragma once

#include <functional>
#include <memory>

#include "coro/scope.h"
#include "ringraft/rpc.h"
#include "sim/host.h"
#include "sim/oracle.h"

namespace ringraft::sim {

struct RpcFaults {
  // hazards: B16
  double duplicate = 0;  // fraction of calls that are sent a second time, as by a retry after a lost reply
};

class InterceptingRpc final : public Rpc {
 public:
  InterceptingRpc(std::unique_ptr<Rpc> inner, SimHost& host, Oracle& oracle, const RpcFaults& faults);
  ~InterceptingRpc() override;

  Result<void> Listen(const Addr& addr) override { return inner_->Listen(addr); }
  Result<void> Serve() override { return inner_->Serve(); }
  void Register(RpcService& service, std::function<Identity()> identity) override;
  void Close() override;
  Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) override;
  Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) override;
  Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) override;
  Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) override;

 private:
  class Service;
  Task<void> AppendAgain(Addr addr, AppendEntriesArgs args);
  Task<void> VoteAgain(Addr addr, RequestVoteArgs args);

  SimHost& host_;
  Oracle& oracle_;
  const RpcFaults& faults_;
  coro::Scope duplicates_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Rpc> inner_;
};

}  // namespace ringraft::sim
