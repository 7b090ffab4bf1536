#include "node/forwarder.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"

namespace ringraft::node {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(10);
constexpr Duration kSweepInterval = std::chrono::milliseconds(10);

// The commands that CallSlot::encoded holds.
std::vector<Bytes> Decode(const CallSlot& slot) {
  std::vector<Bytes> commands;
  commands.reserve(slot.count);
  for (size_t at = 0; at < slot.encoded.size();) {
    uint32_t length;
    std::memcpy(&length, slot.encoded.data() + at, sizeof length);
    at += BatchHeader::kEntryOverhead;
    commands.emplace_back(std::string_view(slot.encoded).substr(at, length));
    at += length;
  }
  return commands;
}

}  // namespace

Forwarder::Forwarder(const Parts& parts)
    : options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      rpc_(parts.rpc),
      proposer_(parts.proposer),
      scope_(parts.scope),
      calls_(parts.calls),
      work_(parts.loop) {}

Result<void> Forwarder::Check(size_t bytes) {
  if (waiting_bytes_ + bytes > options_.limits.max_waiting_bytes && loop_.Now() >= sweep_at_) {
    sweep_at_ = loop_.Now() + kSweepInterval;
    DropEnded();
  }
  if (waiting_bytes_ + bytes <= options_.limits.max_waiting_bytes) return Success();
  return Error(Errc::kBusy,
               fmt::format("{} bytes wait to be forwarded and limits.max_waiting_bytes is {}; try again later",
                           waiting_bytes_, options_.limits.max_waiting_bytes));
}

void Forwarder::Add(CallSlot& slot) {
  slot.is_out = false;
  waiting_bytes_ += slot.encoded.size();
  waiting_.push_back(Waiting{&slot, slot.generation()});
  Wake();
}

Task<void> Forwarder::Run() {
  for (;;) {
    if (!waiting_.empty() && !waiting_.front().slot->IsWithNode(waiting_.front().generation)) DropEnded();
    if (core_.is_leader()) GiveToProposer();
    std::optional<Peer> leader;
    if (NodeId id = core_.leader(); id && id != options_.id)
      if (const Peer* peer = core_.configuration().Find(id)) leader = *peer;
    const bool is_early = leader && leader->id == refused_by_ && loop_.Now() < retry_at_;
    if (waiting_.empty() || !leader || messages_.size() >= kMessages || is_early) {
      auto woken = work_.WaitUntil(is_early && !waiting_.empty() ? retry_at_ : TimePoint::max());
      co_await woken;
      continue;
    }
    ForwardArgs args;
    args.group = options_.group;
    args.to = leader->id;
    Message calls;
    size_t bytes = 0;
    TimePoint deadline = loop_.Now();
    while (!waiting_.empty() && (calls.empty() || bytes < kMessageBytes)) {
      Waiting next = waiting_.front();
      waiting_.pop_front();
      if (!next.slot->IsWithNode(next.generation)) continue;
      waiting_bytes_ -= next.slot->encoded.size();
      bytes += next.slot->encoded.size();
      deadline = std::max(deadline, next.slot->deadline);
      ForwardCall call;
      call.commands = Decode(*next.slot);
      next.slot->is_out = true;
      args.calls.push_back(std::move(call));
      calls.push_back(next);
    }
    if (calls.empty()) continue;
    args.timeout = deadline - loop_.Now();
    messages_.push_back(std::move(calls));
    scope_.Start(Send(*leader, std::prev(messages_.end()), std::move(args)));
  }
}

// Calls that ended by their deadline are still in the queue; their bytes must not count forever.
void Forwarder::DropEnded() {
  std::deque<Waiting> rest;
  waiting_bytes_ = 0;
  for (const Waiting& call : waiting_) {
    if (!call.slot->IsWithNode(call.generation)) continue;
    waiting_bytes_ += call.slot->encoded.size();
    rest.push_back(call);
  }
  waiting_.swap(rest);
}

void Forwarder::GiveToProposer() {
  std::deque<Waiting> calls;
  calls.swap(waiting_);
  waiting_bytes_ = 0;
  for (const Waiting& call : calls) {
    if (!call.slot->IsWithNode(call.generation)) continue;
    if (Result<void> room = proposer_.Check(call.slot->encoded.size()); !room) {
      call.slot->error = room.error();
      call.slot->Complete(call.generation);
    } else {
      proposer_.AddEncoded(*call.slot);
    }
  }
}

Task<void> Forwarder::Send(Peer leader, std::list<Message>::iterator message, ForwardArgs args) {
  auto call = rpc_.CallForward(leader.addr, std::move(args));
  auto reply = co_await call;
  Message calls = std::move(*message);
  messages_.erase(message);
  if (reply && reply.value().outcomes.size() == calls.size()) {
    for (size_t i = 0; i < calls.size(); ++i) Settle(calls[i], leader.id, reply.value().outcomes[i]);
  } else if (!reply && reply.error() == Errc::kUnreachable) {
    // It certainly did not arrive.
    PauseWith(leader.id);
    for (const Waiting& waiting : calls) Retry(waiting);
  } else {
    for (const Waiting& waiting : calls) calls_.EndCall(*waiting.slot, waiting.generation, Errc::kUnknown);
  }
  Wake();
}

void Forwarder::PauseWith(NodeId leader) {
  refused_by_ = leader;
  retry_at_ = loop_.Now() + kRetryDelay;
}

void Forwarder::Settle(const Waiting& call, NodeId leader, ForwardOutcome& outcome) {
  CallSlot& slot = *call.slot;
  if (!slot.IsWithNode(call.generation)) return;
  switch (outcome.error.code()) {
    case Errc::kOk:
      if (outcome.results.size() != slot.count) return calls_.EndCall(slot, call.generation, Errc::kUnknown);
      if (slot.IsAwaited(call.generation)) {
        if (slot.count == 1) {
          slot.result = std::move(outcome.results.front());
        } else {
          slot.results = std::move(outcome.results);
        }
      }
      slot.Complete(call.generation);
      return;
    case Errc::kNotLeader:
    case Errc::kStopped:
      // Certainly not in its log: retried with the next leader.
      PauseWith(leader);
      Retry(call);
      return;
    default:
      slot.error = outcome.error;
      slot.Complete(call.generation);
  }
}

void Forwarder::Retry(const Waiting& call) {
  if (!call.slot->IsWithNode(call.generation)) return;
  call.slot->is_out = false;
  waiting_bytes_ += call.slot->encoded.size();
  waiting_.push_back(call);
}

// The coroutines of the messages are gone already.
void Forwarder::OnStop() {
  std::list<Message> messages;
  messages.swap(messages_);
  for (const Message& message : messages)
    for (const Waiting& call : message) calls_.EndCall(*call.slot, call.generation, Errc::kUnknown);
  std::deque<Waiting> calls;
  calls.swap(waiting_);
  waiting_bytes_ = 0;
  for (const Waiting& call : calls) calls_.EndCall(*call.slot, call.generation, Errc::kStopped);
}

}  // namespace ringraft::node
