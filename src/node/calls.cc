#include "node/calls.h"

#include "base/format.h"
#include "base/try.h"
#include "ringraft/batch.h"

namespace ringraft::node {
namespace {

constexpr Duration kForwardTimeout = std::chrono::seconds(10);

void Encode(std::span<const Command> commands, size_t bytes, std::string& to) {
  to.reserve(bytes);
  for (const Command& command : commands) AppendEntry(LogEntryType::kCommand, command.view(), to);
}

}  // namespace

Calls::Calls(const Options& options, StopLatch& stopped)
    : options_(options), stopped_(stopped), slots_(SlotPool::New(options.limits.max_waiting_calls)) {}

Calls::~Calls() { slots_->Orphan(); }

// --- any thread ---

bool Calls::Begin(Call& call, std::coroutine_handle<> caller) {
  if (!is_open()) return Refuse(call, Errc::kStopped);
  Result<size_t> bytes = EncodedSize(call.commands_);
  if (!bytes) return Refuse(call, bytes.error());
  if (call.options_.stop_token_.stop_requested()) return Refuse(call, Errc::kUnknown);
  // On the reactor the node is at hand: what can be refused is refused here, and the commands are copied once, into the
  // batch. Nothing below may end the call before this has returned.
  std::optional<Route> route;
  if (IsOnReactor()) {
    Result<Route> found = RouteFor(bytes.value(), call.options_.forward_);
    if (!found) return Refuse(call, found.error());
    route = found.value();
  }
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  slot->count = static_cast<uint32_t>(call.commands_.size());
  if (!route || slot->forward) Encode(call.commands_, bytes.value(), slot->encoded);
  if (!route) return Post(call, *slot);

  slot->arrived = true;
  if (slot->deadline != TimePoint::max()) deadlines_->Add(*slot);
  if (slot->forward) {
    Enter(*slot, *route);
  } else {
    parts_->proposer.Add(*slot, call.commands_);
  }
  WatchStopRequest(call);
  return true;
}

bool Calls::BeginConfig(Call& call, ConfigChange change, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeaderCall(call, CallKind::kChangeConfig, caller);
  if (slot == nullptr) return false;
  slot->config = std::make_unique<ConfigChange>(std::move(change));
  return Post(call, *slot);
}

bool Calls::BeginAbortConfig(Call& call, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeaderCall(call, CallKind::kAbortConfig, caller);
  return slot != nullptr && Post(call, *slot);
}

bool Calls::BeginTransfer(Call& call, NodeId to, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeaderCall(call, CallKind::kTransfer, caller);
  if (slot == nullptr) return false;
  slot->transfer_to = to;
  return Post(call, *slot);
}

bool Calls::BeginDone(Call& call, std::coroutine_handle<> caller) {
  if (stopped_.is_open()) return Refuse(call, stopped_.reason());
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  if (stopped_.Add(*slot, call.generation_)) return true;
  call.Release();  // it has stopped meanwhile
  return Refuse(call, stopped_.reason());
}

// Ends on the reactor, or where the node has stopped: it is not posted.
bool Calls::BeginNextEvent(Call& call, EventQueue& queue, std::coroutine_handle<> caller) {
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  std::optional<EventQueue::Waiter> former;
  if (!queue.Wait({slot, call.generation_}, former)) {
    call.Release();  // an event has come meanwhile
    return false;
  }
  // From here on the call may have ended. The former's caller has died, or should have been awaited.
  if (former) {
    former->first->error =
        Error(Errc::kInvalidArgument, "Next was awaited while an earlier Next waited: await one at a time");
    former->first->Complete(former->second);
  }
  return true;
}

bool Calls::Refuse(Call& call, Error error) {
  call.refused_ = std::move(error);
  return false;
}

// The bytes of the commands as entries of a batch. Errors: kTooLarge.
Result<size_t> Calls::EncodedSize(std::span<const Command> commands) const {
  const Limits& limits = options_.limits;
  if (commands.size() > limits.max_call_commands)
    return Error(Errc::kTooLarge, fmt::format("a call of {} commands is over limits.max_call_commands ({}); split it",
                                              commands.size(), limits.max_call_commands));
  size_t bytes = 0;
  for (const Command& command : commands) {
    if (command.size() > limits.max_command_bytes)
      return Error(
          Errc::kTooLarge,
          fmt::format(
              "a command of {} bytes is over limits.max_command_bytes ({}); split it or raise the limit on every node",
              command.size(), limits.max_command_bytes));
    bytes += BatchHeader::kEntryOverhead + command.size();
  }
  size_t payload = bytes - commands.size() * BatchHeader::kEntryOverhead;
  if (payload > limits.max_call_bytes)
    return Error(Errc::kTooLarge, fmt::format("a call of {} bytes is over limits.max_call_bytes ({}); split it",
                                              payload, limits.max_call_bytes));
  return bytes;
}

CallSlot* Calls::NewCall(Call& call, std::coroutine_handle<> caller) {
  CallSlot* slot = slots_->Acquire(*this);
  if (slot == nullptr) {
    call.refused_ = Error(Errc::kBusy, fmt::format("limits.max_waiting_calls ({}) calls wait; try again later",
                                                   options_.limits.max_waiting_calls));
    return nullptr;
  }
  const HandleOptions& options = call.options_;
  slot->caller = caller;
  slot->executor = options.executor_;
  slot->forward = options.forward_;
  slot->deadline = options.deadline_  ? *options.deadline_
                   : options.forward_ ? Clock::now() + kForwardTimeout
                                      : TimePoint::max();
  slot->encoded.clear();
  call.slot_ = slot;
  call.generation_ = slot->generation();
  return slot;
}

CallSlot* Calls::NewLeaderCall(Call& call, CallKind kind, std::coroutine_handle<> caller) {
  const bool is_stopped = !is_open();
  if (is_stopped || call.options_.stop_token_.stop_requested()) {
    Refuse(call, is_stopped ? Errc::kStopped : Errc::kUnknown);
    return nullptr;
  }
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return nullptr;
  slot->kind = kind;
  slot->count = 0;
  slot->forward = false;
  return slot;
}

// To the reactor. Also from there: a call that ends at once must not end before its caller is suspended. Once the slot
// is posted the caller may run, or die, at any moment: the call is not touched then.
bool Calls::Post(Call& call, CallSlot& slot) {
  if (!slots_->BeginPost()) {
    call.Release();
    return Refuse(call, Errc::kStopped);
  }
  WatchStopRequest(call);
  mailbox().Post(slot);
  slots_->EndPost();
  return true;
}

void Calls::WatchStopRequest(Call& call) {
  if (call.options_.stop_token_.stop_possible())
    call.on_stop_.emplace(call.options_.stop_token_, Call::OnStopRequest{call.slot_, call.generation_});
}

// --- reactor ---

void Calls::Start(const Parts& parts) {
  parts_.emplace(parts);
  deadlines_ = std::make_unique<Deadlines>(host_->loop(), [this](CallSlot& slot) { OnDeadline(slot); });
  leader_calls_ = std::make_unique<LeaderCalls>(LeaderCalls::Parts{.options = options_,
                                                                   .loop = host_->loop(),
                                                                   .core = parts.core,
                                                                   .deadlines = *deadlines_,
                                                                   .calls = *this,
                                                                   .control = parts.control,
                                                                   .log = parts.log});
}

void Calls::OnLeadershipLost() {
  parts_->proposer.OnLeadershipLost();
  leader_calls_->OnLeadershipLost();
}

void Calls::OnStop() {
  parts_->proposer.OnStop();
  parts_->forwarder.OnStop();
  leader_calls_->OnStop();
}

void Calls::Finish() {
  leader_calls_.reset();
  deadlines_.reset();
}

void Calls::OnCallArrived(CallSlot& slot) {
  uint32_t generation = slot.generation();
  slot.arrived = true;
  if (!parts_ || parts_->control.is_stopping()) return EndCall(slot, generation, Errc::kStopped);
  if (slot.cancel_requested.load(std::memory_order_acquire)) return EndCall(slot, generation, Errc::kUnknown);
  if (slot.deadline != TimePoint::max()) deadlines_->Add(slot);
  if (slot.kind != CallKind::kCommands) return leader_calls_->Dispatch(slot, generation);
  Result<Route> route = RouteFor(slot.encoded.size(), slot.forward);
  if (!route) return EndCall(slot, generation, route.error());
  Enter(slot, route.value());
}

bool Calls::IsOnReactor() const { return coro::Loop::Current() == &host_->loop() && parts_.has_value(); }

// Where commands go now: into the log of this node, or to the leader. Errors: kNotLeader, kBusy.
Result<Calls::Route> Calls::RouteFor(size_t bytes, bool is_forwardable) const {
  if (parts_->core.is_leader()) {
    RINGRAFT_TRYV(parts_->proposer.Check(bytes));
    return Route::kProposer;
  }
  if (!is_forwardable) return Error::NotLeader(Leader());
  RINGRAFT_TRYV(parts_->forwarder.Check(bytes));
  return Route::kForwarder;
}

// The commands are encoded in the slot.
void Calls::Enter(CallSlot& slot, Route route) {
  if (route == Route::kProposer) {
    parts_->proposer.AddEncoded(slot);
  } else {
    parts_->forwarder.Add(slot);
  }
}

void Calls::OnDeadline(CallSlot& slot) {
  uint32_t generation = slot.generation();
  if (slot.kind == CallKind::kChangeConfig) {
    const Error too_slow(Errc::kTooSlowToCatchUp,
                         "the new voters did not catch up before the deadline of the call: nothing has changed; give "
                         "it more time");
    if (leader_calls_->EndCatchUp(slot, generation, too_slow)) return;
  }
  if (!slot.forward || slot.is_out) return EndCall(slot, generation, Errc::kUnknown);
  EndCall(slot, generation, Errc::kNoLeader);
}

void Calls::OnCancel(CallSlot& slot, uint32_t generation) {
  const Error cancelled(Errc::kChangeAborted,
                        "the change was aborted by its caller while its new voters caught up: nothing has changed");
  if (!leader_calls_->EndCatchUp(slot, generation, cancelled)) EndCall(slot, generation, Errc::kUnknown);
}

void Calls::EndCall(CallSlot& slot, uint32_t generation, Error error) {
  if (!slot.IsWithNode(generation)) return;
  if (error == Errc::kNotLeader) {
    const bool is_forwardable = slot.forward && !parts_->control.is_stopping();
    if (is_forwardable && parts_->forwarder.Check(slot.encoded.size())) return parts_->forwarder.Add(slot);
    error = Error::NotLeader(Leader());
  }
  slot.error = std::move(error);
  slot.Complete(generation);
}

std::optional<Peer> Calls::Leader() const {
  const NodeId leader = parts_->core.leader();
  if (!leader) return std::nullopt;
  if (leader == options_.id) return Peer(options_.id, options_.addr);
  const Peer* peer = parts_->core.configuration().Find(leader);
  return peer != nullptr ? std::optional<Peer>(*peer) : std::nullopt;
}

}  // namespace ringraft::node
