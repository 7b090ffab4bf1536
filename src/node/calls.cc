// The node's side of a call: from the caller's thread to the reactor, and its end.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "node/node.h"

namespace ringraft::node {
namespace {

constexpr Duration kForwardTimeout = std::chrono::seconds(10);
constexpr int kTransferWaits = 4;  // longest election time-outs

// As BatchBuilder::Add would encode them: the reactor copies the bytes as they are.
void Encode(std::span<const Command> commands, size_t bytes, std::string& to) {
  to.resize(bytes);
  char* at = to.data();
  for (const Command& command : commands) {
    uint32_t length = static_cast<uint32_t>(command.size()), type = static_cast<uint32_t>(LogEntryType::kCommand);
    std::memcpy(at, &length, sizeof length);
    std::memcpy(at + 4, &type, sizeof type);
    if (length > 0) std::memcpy(at + BatchHeader::kEntryOverhead, command.view().data(), length);
    at += BatchHeader::kEntryOverhead + length;
  }
}

}  // namespace

bool Node::Refuse(Call& call, Error error) const {
  call.refused_ = std::move(error);
  return false;
}

bool Node::OnReactor() const { return coro::Loop::Current() == &host_->loop(); }

Error Node::CheckSize(std::span<const Command> commands, size_t& bytes) const {
  const Limits& limits = options_.limits;
  if (commands.size() > limits.max_call_commands)
    return Error(Errc::kTooLarge, fmt::format("a call of {} commands is over limits.max_call_commands ({}); split it",
                                              commands.size(), limits.max_call_commands));
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
  return Error();
}

CallSlot* Node::NewCall(Call& call, std::coroutine_handle<> caller) {
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

bool Node::Begin(Call& call, std::coroutine_handle<> caller) {
  if (!IsRunning()) return Refuse(call, Errc::kStopped);
  size_t bytes = 0;
  if (Error error = CheckSize(call.commands_, bytes); error.code() != Errc::kOk) return Refuse(call, error);
  if (call.options_.stop_token_.stop_requested()) return Refuse(call, Errc::kUnknown);
  // On the reactor the node is at hand: what can be refused is refused here, and the commands are copied once, into the
  // batch. Nothing below may end the call before this has returned.
  bool is_here = OnReactor() && core_ != nullptr;
  bool leads = is_here && core_->is_leader();
  if (is_here) {
    if (!leads && !call.options_.forward_) return Refuse(call, Error::NotLeader(Leader()));
    Result<void> room = leads ? proposer_->Check(bytes) : forwarder_->Check(bytes);
    if (!room) return Refuse(call, room.error());
  }
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  slot->count = static_cast<uint32_t>(call.commands_.size());
  if (!is_here || call.options_.forward_) Encode(call.commands_, bytes, slot->encoded);
  if (!is_here) return HandOver(call, *slot);

  slot->arrived = true;
  if (slot->deadline != TimePoint::max()) deadlines_->Add(*slot);
  if (!leads) {
    forwarder_->Add(*slot);
  } else if (slot->forward) {
    proposer_->AddEncoded(*slot);
  } else {
    proposer_->Add(*slot, call.commands_);
  }
  if (call.options_.stop_token_.stop_possible())
    call.on_stop_.emplace(call.options_.stop_token_, Call::OnStopRequest{slot, call.generation_});
  return true;
}

// From another thread. Once the slot is posted the caller may run, or die, at any moment: nothing of it is touched
// then.
bool Node::HandOver(Call& call, CallSlot& slot) {
  if (!slots_->BeginPost()) {
    call.Release();
    return Refuse(call, Errc::kStopped);
  }
  if (call.options_.stop_token_.stop_possible())
    call.on_stop_.emplace(call.options_.stop_token_, Call::OnStopRequest{&slot, call.generation_});
  mailbox().Post(slot);
  EndPost();
  return true;
}

// For the leader alone. Handed over also on the reactor: it may end at once, which the caller's suspension has to
// precede.
CallSlot* Node::NewLeadersCall(Call& call, CallKind kind, std::coroutine_handle<> caller) {
  const bool is_running = IsRunning();
  if (!is_running || call.options_.stop_token_.stop_requested()) {
    Refuse(call, is_running ? Errc::kUnknown : Errc::kStopped);
    return nullptr;
  }
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return nullptr;
  slot->kind = kind;
  slot->count = 0;
  slot->forward = false;
  return slot;
}

bool Node::BeginConfig(Call& call, ConfigChange change, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeadersCall(call, CallKind::kChangeConfig, caller);
  if (slot == nullptr) return false;
  slot->config = std::make_unique<ConfigChange>(std::move(change));
  return HandOver(call, *slot);
}

bool Node::BeginAbortConfig(Call& call, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeadersCall(call, CallKind::kAbortConfig, caller);
  return slot != nullptr && HandOver(call, *slot);
}

bool Node::BeginTransfer(Call& call, NodeId to, std::coroutine_handle<> caller) {
  CallSlot* slot = NewLeadersCall(call, CallKind::kTransfer, caller);
  if (slot == nullptr) return false;
  slot->transfer_to = to;
  return HandOver(call, *slot);
}

bool Node::BeginDone(Call& call, std::coroutine_handle<> caller) {
  std::lock_guard lock(mutex_);
  if (is_done_) return Refuse(call, status_.stop_reason);
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  done_calls_.emplace_back(slot, call.generation_);
  return true;
}

// Ends on the reactor, or where the node has stopped: it needs no way there.
bool Node::BeginNextEvent(Call& call, EventQueue& queue, std::coroutine_handle<> caller) {
  CallSlot* slot = NewCall(call, caller);
  if (slot == nullptr) return false;
  std::optional<EventQueue::Waiter> former;
  if (!queue.Wait({slot, call.generation_}, former)) {
    call.Release();  // one has come meanwhile
    return false;
  }
  // From here on the call may have ended. The former's caller has died, or should have been awaited.
  if (former) {
    former->first->error = Error(Errc::kInvalidArgument, "a second Next of one EventStream: await the first before it");
    former->first->Complete(former->second);
  }
  return true;
}

void Node::OnCallArrived(CallSlot& slot) {
  uint32_t generation = slot.generation();
  slot.arrived = true;
  if (is_stopping_ || core_ == nullptr) return EndCall(slot, generation, Errc::kStopped);
  if (slot.cancel_requested.load(std::memory_order_acquire)) return EndCall(slot, generation, Errc::kUnknown);
  if (slot.deadline != TimePoint::max()) deadlines_->Add(slot);
  switch (slot.kind) {
    case CallKind::kCommands:
      return Dispatch(slot, generation);
    case CallKind::kChangeConfig:
      return DispatchConfig(slot, generation);
    case CallKind::kAbortConfig:
      return DispatchAbortConfig(slot, generation);
    case CallKind::kTransfer:
      return DispatchTransfer(slot, generation);
  }
}

void Node::Dispatch(CallSlot& slot, uint32_t generation) {
  bool leads = core_->is_leader();
  if (!leads && !slot.forward) return EndCall(slot, generation, Errc::kNotLeader);
  Result<void> room = leads ? proposer_->Check(slot.encoded.size()) : forwarder_->Check(slot.encoded.size());
  if (!room) return EndCall(slot, generation, room.error());
  if (leads) {
    proposer_->AddEncoded(slot);
  } else {
    forwarder_->Add(slot);
  }
}

void Node::DispatchConfig(CallSlot& slot, uint32_t generation) {
  // New members count as heard from at the core's present time, which has to be ours: an idle leader may not have been
  // told it for longer than an election time-out, and would then miss a majority at once.
  core_->OnTick(loop().Now());
  if (!core_->is_leader()) return EndCall(slot, generation, Errc::kNotLeader);
  Result<core::ConfigTicket> ticket = core_->ProposeConfig(*slot.config);
  if (!ticket) return EndCall(slot, generation, ticket.error());
  slot.is_out = true;
  config_calls_.push_back(ConfigCall{&slot, generation, ticket.value()});
  Touch();
}

void Node::DispatchAbortConfig(CallSlot& slot, uint32_t generation) {
  Result<void> aborted =
      core_->AbortConfig(Error(Errc::kChangeAborted,
                               "the change was aborted by another call while its new voters caught up: nothing has "
                               "changed; ask for it again if it is still wanted"));
  if (!aborted) return EndCall(slot, generation, aborted.error());
  Touch();
  slot.Complete(generation);
}

void Node::DispatchTransfer(CallSlot& slot, uint32_t generation) {
  CheckTransferCall();  // an earlier one may have ended in this turn
  if (!core_->is_leader()) return EndCall(slot, generation, Errc::kNotLeader);
  const TimePoint now = loop().Now();
  const NodeId to = slot.transfer_to ? slot.transfer_to : core_->BestSuccessor(now);
  if (!to)
    return EndCall(slot, generation,
                   Error(Errc::kTransferFailed,
                         "no other voting member that may lead answers this leader: start one, or see to the network"));
  Result<void> begun =
      core_->TransferLeadership(now, to, std::min(slot.deadline, now + options_.election_timeout_max));
  if (!begun) return EndCall(slot, generation, begun.error());
  logger_->Write(LogLevel::kInfo, fmt::format("{}: hands the leadership over to node {}", Name(), to.value()));
  slot.is_out = true;
  if (slot.deadline == TimePoint::max()) {  // who is cut off learns of no leader, and knows no end by itself
    slot.deadline = now + kTransferWaits * options_.election_timeout_max;
    deadlines_->Add(slot);
  }
  transfer_call_ = TransferCall{&slot, generation, to};
  Touch();
}

void Node::OnDeadline(CallSlot& slot) {
  uint32_t generation = slot.generation();
  if (slot.kind == CallKind::kChangeConfig) {
    const Error too_slow(Errc::kTooSlowToCatchUp,
                         "the new voters did not catch up before the deadline of the call: nothing has changed; give "
                         "it more time");
    if (EndCatchUp(slot, generation, too_slow)) return;
  }
  if (!slot.forward || slot.is_out) return EndCall(slot, generation, Errc::kUnknown);
  EndCall(slot, generation, Errc::kNoLeader);
}

void Node::OnCancel(CallSlot& slot, uint32_t generation) {
  const Error cancelled(Errc::kChangeAborted,
                        "the change was aborted by its caller while its new voters caught up: nothing has changed");
  if (!EndCatchUp(slot, generation, cancelled)) EndCall(slot, generation, Errc::kUnknown);
}

// A change is given up with its call while its new voters catch up: it has not begun.
bool Node::EndCatchUp(CallSlot& slot, uint32_t generation, const Error& why) {
  if (slot.kind != CallKind::kChangeConfig) return false;
  for (const ConfigCall& call : config_calls_) {
    if (call.slot != &slot || call.generation != generation) continue;
    if (core_->CheckConfig(call.ticket) != core::ConfigProgress::kCatchingUp) return false;
    const Result<void> aborted = core_->AbortConfig(why);
    RINGRAFT_ASSERT(aborted.has_value());
    CheckConfigCalls();
    Touch();
    return true;
  }
  return false;
}

void Node::EndCall(CallSlot& slot, uint32_t generation, Error error) {
  if (!slot.IsWithNode(generation)) return;
  if (error == Errc::kNotLeader) {
    if (slot.forward && !is_stopping_ && forwarder_->Check(slot.encoded.size())) return forwarder_->Add(slot);
    error = Error::NotLeader(Leader());
  }
  slot.error = std::move(error);
  slot.Complete(generation);
}

}  // namespace ringraft::node
