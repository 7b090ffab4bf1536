#include "sim/clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "node/node.h"
#include "sim/detached_task.h"

namespace ringraft::sim {
namespace {

// How much later than its deadline a call may end: the granularity of timers, and a node that does not run for a while.
constexpr Nanos kGrace = 2 * kSecond;

DetachedTask Handle(Raft& raft, std::string command, HandleOptions options,
                std::function<void(std::coroutine_handle<>)> started, std::function<void(Result<Bytes>)> done) {
  struct Self {
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> handle) noexcept {
      self = handle;
      return false;
    }
    std::coroutine_handle<> await_resume() const noexcept { return self; }
    std::coroutine_handle<> self;
  };
  Self who;
  std::coroutine_handle<> self = co_await who;
  started(self);
  auto call = raft.Handle(Command(command), options);
  Result<Bytes> result = co_await call;
  done(std::move(result));
}

}  // namespace

Clients::Clients(World& world, Cluster& cluster, Service& service, uint64_t count, uint64_t max_operations)
    : world_(world),
      cluster_(cluster),
      service_(service),
      max_operations_(max_operations == 0 ? UINT64_MAX : max_operations),
      random_(world.random().Fork()) {
  for (uint64_t i = 0; i < count; ++i) {
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->number = i + 1;
    clients_.back()->target = static_cast<size_t>(random_.Below(cluster.size()));
  }
}

Clients::~Clients() {
  is_alive_.reset();
  std::map<uint64_t, Pending> rest;
  rest.swap(calls_);
  for (auto& [number, pending] : rest)
    if (pending.caller) pending.caller.destroy();
}

void Clients::Begin() {
  for (auto& client : clients_) Plan(*client, static_cast<Nanos>(random_.Below(kSecond)));
}

void Clients::ResetStreaks() {
  for (auto& client : clients_) client->streak = 0;
}

bool Clients::AllHaveStreak(uint64_t length) const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [length](const auto& client) { return client->streak >= length; });
}

void Clients::Plan(Client& client, Nanos delay) {
  world_.After(delay, [this, alive = std::weak_ptr<bool>(is_alive_), &client] {
    if (!alive.expired()) Call(client);
  });
}

// Usually the node of the last success.
Slot* Clients::Choose(Client& client) {
  if (random_.Chance(0.05)) client.target = static_cast<size_t>(random_.Below(cluster_.size()));
  for (size_t tries = 0; tries < cluster_.size(); ++tries) {
    Slot& slot = cluster_.slot(client.target);
    if (slot.state == Slot::State::kUp) return &slot;
    client.target = (client.target + 1) % cluster_.size();
  }
  return nullptr;
}

void Clients::Call(Client& client) {
  if (is_stopping_ || begun() >= max_operations_) return;
  Slot* slot = Choose(client);
  if (slot == nullptr) return Plan(client, 100 * kMilli);
  const uint64_t number = next_call_++;
  Pending& pending = calls_[number];
  pending.client = &client;
  pending.slot = slot;
  pending.life = slot->life;
  pending.operation.client = client.number;
  pending.operation.invoked = world_.now();
  if (client.again.empty()) {
    pending.operation.command = service_.NextCommand(random_, client.number);
  } else {
    pending.operation.command.swap(client.again);
    client.again.clear();
  }
  const Nanos patience = static_cast<Nanos>(
      random_.Between(static_cast<uint64_t>(habits_.least_patience), static_cast<uint64_t>(habits_.most_patience)));
  const bool forward = random_.Chance(habits_.forward);
  const bool is_endless = !forward && random_.Chance(habits_.endless);
  pending.due = is_endless ? Operation::kNever : world_.now() + 2 * patience + kGrace;  // the clock may be slow
  if (random_.Chance(habits_.cancel)) {
    world_.After(static_cast<Nanos>(random_.Below(static_cast<uint64_t>(patience))),
                 [stop = pending.stop]() mutable { stop.request_stop(); });
  }
  if (random_.Chance(habits_.abandon)) {
    world_.After(static_cast<Nanos>(random_.Below(static_cast<uint64_t>(patience))),
                 [this, alive = std::weak_ptr<bool>(is_alive_), number] {
                   if (!alive.expired()) EndUnknown(number);
                 });
  }
  if (random_.Chance(habits_.in_turn)) {
    slot->host->Deliver([this, alive = std::weak_ptr<bool>(is_alive_), number, slot, forward, patience] {
      if (!alive.expired()) Make(number, *slot, forward, patience);
    });
    // If the node crashes first, the call has not been made.
    world_.After(patience + kSecond, [this, alive = std::weak_ptr<bool>(is_alive_), number] {
      if (alive.expired()) return;
      auto found = calls_.find(number);
      if (found != calls_.end() && !found->second.caller) OnAnswer(number, Errc::kStopped);
    });
  } else {
    Make(number, *slot, forward, patience);
  }
}

void Clients::Make(uint64_t number, Slot& slot, bool forward, Nanos patience) {
  auto found = calls_.find(number);
  if (found == calls_.end() || found->second.caller || slot.life != found->second.life || slot.raft == nullptr) return;
  Pending& pending = found->second;
  world_.trace().Mix(9, number, slot.id, forward ? 1 : 0);
  HandleOptions options;
  options.StopOn(pending.stop.get_token());
  if (pending.due != Operation::kNever) options.Deadline(slot.host->time().Now() + Duration(patience));
  if (forward) options.Forward();
  Handle(
      *slot.raft, InterceptingMachine::Wrap(number, pending.operation.command), options,
      [&pending](std::coroutine_handle<> caller) { pending.caller = caller; },
      [this, number](Result<Bytes> result) { OnAnswer(number, std::move(result)); });
}

void Clients::OnAnswer(uint64_t number, Result<Bytes> result) {
  auto found = calls_.find(number);
  if (found == calls_.end()) return;
  Pending pending = std::move(found->second);
  calls_.erase(found);
  Client& client = *pending.client;
  const Errc code = result ? Errc::kOk : result.error().code();
  world_.trace().Mix(10, number, static_cast<uint64_t>(code));
  Nanos pause = static_cast<Nanos>(
      random_.Between(static_cast<uint64_t>(habits_.least_pause), static_cast<uint64_t>(habits_.most_pause)));
  if (result) {
    if (!applied_.contains(number))
      world_.Fail("a command that succeeded was applied",
                  fmt::format("call {} succeeds, but no state machine applied it", number));
    pending.operation.returned = world_.now();
    pending.operation.result = std::string(result.value().view());
    history_.push_back(std::move(pending.operation));
    ++succeeded_;
    ++client.streak;
    return Plan(client, pause);
  }
  client.streak = 0;
  if (code == Errc::kUnknown) {
    ++unknown_;
    if (random_.Chance(habits_.retry)) client.again = pending.operation.command;
    history_.push_back(std::move(pending.operation));
  } else {
    // Certainly without effect: not in the history, but it must stay without effect.
    refused_.insert(number);
    client.again = std::move(pending.operation.command);
  }
  const std::optional<Peer> leader = result.error().leader();
  if (code == Errc::kNotLeader && leader) {
    for (Slot* slot : cluster_.slots())
      if (NodeId(slot->id) == leader->id) client.target = slot->number;
    pause = static_cast<Nanos>(random_.Below(20 * kMilli));
  } else {
    client.target = (client.target + 1) % cluster_.size();
  }
  Plan(client, pause);
}

// Destroys the caller before the answer.
void Clients::EndUnknown(uint64_t number) {
  auto found = calls_.find(number);
  if (found == calls_.end() || !found->second.caller) return;
  std::coroutine_handle<> caller = found->second.caller;
  Pending pending = std::move(found->second);
  calls_.erase(found);
  caller.destroy();
  ++unknown_;
  history_.push_back(std::move(pending.operation));
  Plan(*pending.client, static_cast<Nanos>(random_.Below(static_cast<uint64_t>(habits_.most_pause))));
}

void Clients::OnApplied(uint64_t call) {
  applied_.insert(call);
  if (refused_.contains(call))
    world_.Fail("a command that certainly failed is never applied",
                fmt::format("call {} got an error that excludes it, and is applied", call));
}

std::string Clients::Overdue() const {
  for (const auto& [number, pending] : calls_) {
    if (world_.now() < pending.due || pending.slot->life != pending.life || pending.slot->host == nullptr) continue;
    if (pending.slot->host->is_paused() || pending.slot->host->was_paused_since(pending.operation.invoked)) continue;
    return fmt::format("call {} of client {} to node {} began at {:.3f} s", number, pending.client->number,
                       pending.slot->id, static_cast<double>(pending.operation.invoked) / 1e9);
  }
  return std::string();
}

}  // namespace ringraft::sim
