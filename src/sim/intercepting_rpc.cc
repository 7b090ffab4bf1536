#include "sim/intercepting_rpc.h"

#include <optional>
#include <utility>

namespace ringraft::sim {

class InterceptingRpc::Service final : public RpcService {
 public:
  Service(RpcService& inner, InterceptingRpc& owner) : inner_(inner), owner_(owner) {}

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override {
    AppendEntriesArgs seen = args;
    auto serving = inner_.AppendEntries(std::move(args));
    Result<AppendEntriesResults> results = co_await serving;
    if (results && !owner_.host_.is_crashed()) owner_.oracle_.OnAppendReply(owner_.host_.node(), seen, results.value());
    co_return results;
  }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override {
    RequestVoteArgs seen = args;
    auto serving = inner_.RequestVote(std::move(args));
    Result<RequestVoteResults> results = co_await serving;
    if (results && !owner_.host_.is_crashed()) owner_.oracle_.OnVoteReply(owner_.host_.node(), seen, results.value());
    co_return results;
  }
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override { return inner_.Forward(std::move(args)); }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) override { return inner_.Bootstrap(std::move(args)); }
  Result<void> OnHandshake(const Identity& peer) override { return inner_.OnHandshake(peer); }
  Result<void> OnCall(const Identity& peer) override { return inner_.OnCall(peer); }
  Result<AdminService*> Admin(std::optional<GroupId> group) override { return inner_.Admin(group); }

 private:
  RpcService& inner_;
  InterceptingRpc& owner_;
};

InterceptingRpc::InterceptingRpc(std::unique_ptr<Rpc> inner, SimHost& host, Oracle& oracle, const RpcFaults& faults)
    : host_(host), oracle_(oracle), faults_(faults), duplicates_(host.loop()), inner_(std::move(inner)) {}

InterceptingRpc::~InterceptingRpc() { InterceptingRpc::Close(); }

void InterceptingRpc::Register(RpcService& service, std::function<Identity()> identity) {
  service_ = std::make_unique<Service>(service, *this);
  inner_->Register(*service_, std::move(identity));
}

void InterceptingRpc::Close() {
  coro::Loop::Entered entered(host_.loop());
  duplicates_.Cancel();
  inner_->Close();
}

Task<Result<AppendEntriesResults>> InterceptingRpc::CallAppendEntries(Addr addr, AppendEntriesArgs args) {
  if (!host_.is_crashed()) {
    oracle_.OnAppendRequest(host_.node(), args);
    if (host_.world().random().Chance(faults_.duplicate)) duplicates_.Start(AppendAgain(addr, args));
  }
  return inner_->CallAppendEntries(std::move(addr), std::move(args));
}

Task<Result<RequestVoteResults>> InterceptingRpc::CallRequestVote(Addr addr, RequestVoteArgs args) {
  if (!host_.is_crashed()) {
    oracle_.OnVoteRequest(host_.node(), args);
    if (host_.world().random().Chance(faults_.duplicate)) duplicates_.Start(VoteAgain(addr, args));
  }
  return inner_->CallRequestVote(std::move(addr), std::move(args));
}

Task<Result<BootstrapResults>> InterceptingRpc::CallBootstrap(Addr addr, BootstrapArgs args) {
  return inner_->CallBootstrap(std::move(addr), args);
}

Task<Result<ForwardResults>> InterceptingRpc::CallForward(Addr addr, ForwardArgs args) {
  return inner_->CallForward(std::move(addr), std::move(args));
}

Task<void> InterceptingRpc::AppendAgain(Addr addr, AppendEntriesArgs args) {
  const auto delay = static_cast<Nanos>(host_.world().random().Below(100 * kMilli));
  auto later = host_.loop().SleepUntil(host_.loop().Now() + Duration(delay));
  co_await later;
  auto call = inner_->CallAppendEntries(std::move(addr), std::move(args));
  [[maybe_unused]] auto ignored = co_await call;
}

Task<void> InterceptingRpc::VoteAgain(Addr addr, RequestVoteArgs args) {
  const auto delay = static_cast<Nanos>(host_.world().random().Below(500 * kMilli));
  auto later = host_.loop().SleepUntil(host_.loop().Now() + Duration(delay));
  co_await later;
  auto call = inner_->CallRequestVote(std::move(addr), std::move(args));
  [[maybe_unused]] auto ignored = co_await call;
}

}  // namespace ringraft::sim
