#include "sim/tap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ringraft::sim {
namespace {

constexpr int kMostTries = 100;

}  // namespace

class TapRpc::Service final : public RpcService {
 public:
  Service(RpcService& inner, TapRpc& tap) : inner_(inner), tap_(tap) {}

  Task<Result<AppendEntriesResults>> AppendEntries(AppendEntriesArgs args) override {
    AppendEntriesArgs seen = args;
    auto serving = inner_.AppendEntries(std::move(args));
    Result<AppendEntriesResults> results = co_await serving;
    if (results && !tap_.host_.is_crashed()) tap_.oracle_.OnAppendReply(tap_.host_.node(), seen, results.value());
    co_return results;
  }
  Task<Result<RequestVoteResults>> RequestVote(RequestVoteArgs args) override {
    RequestVoteArgs seen = args;
    auto serving = inner_.RequestVote(std::move(args));
    Result<RequestVoteResults> results = co_await serving;
    if (results && !tap_.host_.is_crashed()) tap_.oracle_.OnVoteReply(tap_.host_.node(), seen, results.value());
    co_return results;
  }
  Task<Result<ForwardResults>> Forward(ForwardArgs args) override { return inner_.Forward(std::move(args)); }
  Task<Result<BootstrapResults>> Bootstrap(BootstrapArgs args) override { return inner_.Bootstrap(std::move(args)); }
  Result<void> OnHandshake(const Identity& peer) override { return inner_.OnHandshake(peer); }
  Result<void> OnCall(const Identity& peer) override { return inner_.OnCall(peer); }
  Result<AdminService*> Admin(std::optional<GroupId> group) override { return inner_.Admin(group); }

 private:
  RpcService& inner_;
  TapRpc& tap_;
};

TapRpc::TapRpc(std::unique_ptr<Rpc> inner, SimHost& host, Oracle& oracle, const TapFaults& faults)
    : host_(host), oracle_(oracle), faults_(faults), duplicates_(host.loop()), inner_(std::move(inner)) {}

TapRpc::~TapRpc() { TapRpc::Close(); }

void TapRpc::Register(RpcService& service, std::function<Identity()> identity) {
  service_ = std::make_unique<Service>(service, *this);
  inner_->Register(*service_, std::move(identity));
}

void TapRpc::Close() {
  coro::Loop::Entered entered(host_.loop());
  duplicates_.Cancel();
  inner_->Close();
}

Task<Result<AppendEntriesResults>> TapRpc::CallAppendEntries(Addr addr, AppendEntriesArgs args) {
  if (!host_.is_crashed()) {
    oracle_.OnAppendRequest(host_.node(), args);
    if (host_.world().random().Chance(faults_.duplicate)) duplicates_.Start(AppendAgain(addr, args));
  }
  return inner_->CallAppendEntries(std::move(addr), std::move(args));
}

Task<Result<RequestVoteResults>> TapRpc::CallRequestVote(Addr addr, RequestVoteArgs args) {
  if (!host_.is_crashed()) {
    oracle_.OnVoteRequest(host_.node(), args);
    if (host_.world().random().Chance(faults_.duplicate)) duplicates_.Start(VoteAgain(addr, args));
  }
  return inner_->CallRequestVote(std::move(addr), std::move(args));
}

Task<Result<BootstrapResults>> TapRpc::CallBootstrap(Addr addr, BootstrapArgs args) { return inner_->CallBootstrap(std::move(addr), args); }

Task<Result<ForwardResults>> TapRpc::CallForward(Addr addr, ForwardArgs args) {
  return inner_->CallForward(std::move(addr), std::move(args));
}

Task<void> TapRpc::AppendAgain(Addr addr, AppendEntriesArgs args) {
  const auto delay = static_cast<Nanos>(host_.world().random().Below(100 * kMilli));
  auto later = host_.loop().SleepUntil(host_.loop().Now() + Duration(delay));
  co_await later;
  auto call = inner_->CallAppendEntries(std::move(addr), std::move(args));
  [[maybe_unused]] auto unheard = co_await call;
}

Task<void> TapRpc::VoteAgain(Addr addr, RequestVoteArgs args) {
  const auto delay = static_cast<Nanos>(host_.world().random().Below(500 * kMilli));
  auto later = host_.loop().SleepUntil(host_.loop().Now() + Duration(delay));
  co_await later;
  auto call = inner_->CallRequestVote(std::move(addr), std::move(args));
  [[maybe_unused]] auto unheard = co_await call;
}

// --- the machine ---

void MachineDisk::Add(const LogEntry& entry) {
  entries_.push_back(Entry{entry.index, entry.term, std::string(entry.command)});
}

bool MachineDisk::RestoreTo(StateMachine& machine) const {
  std::vector<LogEntry> entries;
  for (const Entry& entry : entries_)
    entries.emplace_back(entry.index, entry.term, LogEntryType::kCommand, entry.command);
  ApplyResults results;
  int tries = 0;  // in a row: a machine may want to be asked again
  for (std::span<const LogEntry> rest(entries); !rest.empty() && tries < kMostTries;) {
    results.Clear();
    Result<size_t> applied = machine.Apply(rest, results);
    const size_t count = applied ? std::min(applied.value(), rest.size()) : 0;
    tries = count == 0 ? tries + 1 : 0;
    rest = rest.subspan(count);
  }
  return tries < kMostTries;
}

std::string TapMachine::Wrap(uint64_t call, std::string_view command) {
  std::string wrapped(kPrefix, '\0');
  std::memcpy(wrapped.data(), &call, kPrefix);
  wrapped.append(command);
  return wrapped;
}

Result<size_t> TapMachine::Apply(std::span<const LogEntry> entries, ApplyResults& results) {
  size_t count = entries.size();
  if (count > 1 && world_.random().Chance(faults_.partial))
    count = static_cast<size_t>(world_.random().Between(1, count - 1));
  entries_.assign(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
  for (LogEntry& entry : entries_) entry.command.remove_prefix(kPrefix);
  for (const LogEntry& entry : entries_) {
    if (disk_ != nullptr && log_.TermAt(entry.index) != entry.term)
      world_.Fail("a durable machine is given only what is durable",
                  fmt::format("node {} applies index {} of term {}; its disk ends at {}", node_, entry.index.value(),
                              entry.term.value(), log_.last().value()));
    if (disk_ != nullptr && entry.index <= disk_->last())
      world_.Fail("machines apply in order, each entry once",
                  fmt::format("the durable machine of node {} is given index {} after {}", node_, entry.index.value(),
                              disk_->last().value()));
  }
  Result<size_t> applied = inner_.Apply(entries_, results);
  for (size_t i = 0; applied && i < std::min(applied.value(), count); ++i) {
    oracle_.OnApply(node_, entries[i]);
    if (disk_ != nullptr) disk_->Add(entries_[i]);
    uint64_t call = 0;
    std::memcpy(&call, entries[i].command.data(), kPrefix);
    on_apply_(call);
  }
  return applied;
}

}  // namespace ringraft::sim
