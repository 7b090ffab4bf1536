// A transport for tests: nodes of one process, on one reactor or several, call each other's services directly. Links
// can be cut.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "coro/scope.h"
#include "coro/signal.h"
#include "reactor/host.h"
#include "ringraft/reactor.h"
#include "ringraft/rpc.h"

namespace ringraft::test {

class LocalRpc;

// Which node is at which address. All nodes run on one reactor.
class LocalNetwork {
 public:
  void Cut(const Addr& addr) { cut_.insert(addr); }
  void Heal(const Addr& addr) { cut_.erase(addr); }
  bool IsCut(const Addr& addr) const { return cut_.contains(addr); }
  uint64_t batches_sent() const { return batches_sent_; }
  uint64_t bootstrap_calls() const { return bootstrap_calls_; }

 private:
  friend class LocalRpc;
  std::map<Addr, LocalRpc*> nodes_;
  std::set<Addr> cut_;
  uint64_t batches_sent_ = 0;
  uint64_t bootstrap_calls_ = 0;
};

class LocalRpc final : public Rpc {
 public:
  LocalRpc(Reactor& reactor, LocalNetwork& network) : loop_(reactor.host().loop()), network_(network), served_(loop_) {}
  ~LocalRpc() override { Close(); }

  Result<void> Listen(const Addr& addr) override {
    if (network_.nodes_.contains(addr))
      return Error(Errc::kIo, "cannot listen on " + addr.text() + ": Address already in use");
    addr_ = addr;
    network_.nodes_[addr] = this;
    return Success();
  }
  Result<void> Serve() override {
    is_serving_ = true;
    return Success();
  }
  void Register(RpcService& service, std::function<Identity()> identity) override {
    service_ = &service;
    identity_ = std::move(identity);
  }
  void Close() override {
    is_serving_ = false;
    if (!addr_.empty()) network_.nodes_.erase(addr_);
    addr_ = Addr();
    served_.Cancel();
  }

  Task<Result<AppendEntriesResults>> CallAppendEntries(Addr addr, AppendEntriesArgs args) override {
    network_.batches_sent_ += args.entries.size();
    return CallOn<AppendEntriesResults>(std::move(addr), std::move(args), &RpcService::AppendEntries);
  }
  Task<Result<RequestVoteResults>> CallRequestVote(Addr addr, RequestVoteArgs args) override {
    return CallOn<RequestVoteResults>(std::move(addr), std::move(args), &RpcService::RequestVote);
  }
  Task<Result<ForwardResults>> CallForward(Addr addr, ForwardArgs args) override {
    return CallOn<ForwardResults>(std::move(addr), std::move(args), &RpcService::Forward);
  }
  Task<Result<BootstrapResults>> CallBootstrap(Addr addr, BootstrapArgs args) override {
    ++network_.bootstrap_calls_;
    return CallOn<BootstrapResults>(std::move(addr), std::move(args), &RpcService::Bootstrap);
  }

 private:
  template <class R>
  struct Pending {
    explicit Pending(coro::Loop& loop) : done(loop) {}
    coro::Signal done;
    std::optional<Result<R>> result;
  };

  // The callee's own coroutine: it continues when the caller is destroyed, as over a network.
  template <class R, class Args>
  static Task<void> ServeOne(RpcService& service, Args args, Task<Result<R>> (RpcService::*method)(Args),
                             std::shared_ptr<Pending<R>> pending) {
    auto serving = (service.*method)(std::move(args));
    Result<R> result = co_await serving;
    pending->result = std::move(result);
    pending->done.Notify();
  }

  LocalRpc* Find(const Addr& addr) {
    auto at = network_.nodes_.find(addr);
    if (at == network_.nodes_.end() || !at->second->is_serving_ || network_.IsCut(addr) || network_.IsCut(addr_))
      return nullptr;
    return at->second;
  }

  template <class R, class Args>
  Task<Result<R>> CallOn(Addr addr, Args args, Task<Result<R>> (RpcService::*method)(Args)) {
    auto sending = loop_.Yield();  // calls start in the order they were made, on a later pass
    co_await sending;
    LocalRpc* callee = Find(addr);
    if (callee == nullptr) co_return Errc::kUnreachable;
    auto greeted = callee->service_->OnHandshake(identity_());
    if (!greeted) co_return greeted.error();
    auto welcomed = service_->OnHandshake(callee->identity_());
    if (!welcomed) co_return Error(Errc::kWrongNode, welcomed.error().message());
    auto pending = std::make_shared<Pending<R>>(loop_);
    callee->served_.Start(ServeOne<R, Args>(*callee->service_, std::move(args), method, pending));
    const TimePoint deadline = loop_.Now() + std::chrono::seconds(1);
    while (!pending->result && loop_.Now() < deadline) {
      auto woken = pending->done.WaitUntil(deadline);
      co_await woken;
    }
    if (!pending->result) co_return Errc::kTimedOut;
    if (network_.IsCut(addr) || network_.IsCut(addr_)) co_return Errc::kUnknown;
    co_return std::move(*pending->result);
  }

  coro::Loop& loop_;
  LocalNetwork& network_;
  Addr addr_;
  bool is_serving_ = false;
  RpcService* service_ = nullptr;
  std::function<Identity()> identity_;
  coro::Scope served_;
};

}  // namespace ringraft::test
