// Messages and calls. A message that is sent over a cut link, or arrives at a server that is down, is lost silently:
// its call stays open until it times out or its connection fails.
#include <algorithm>

#include "world.h"

namespace ringraft::scenario {
namespace {

// Limits of one DeliverAll: a base, and more for each message in flight at its start.
constexpr size_t kMaxDeliveries = 1000;
constexpr size_t kMostThatFollow = 20;

std::string Answer(const Message& message) {
  if (core::IsVote(message.kind)) return VoteAnswer(message.vote_results);
  return message.error.empty() ? AppendAnswer(message.append_results) : message.error;
}

}  // namespace

void World::ForEach(const Link& link, const std::function<void(uint64_t, uint64_t)>& visit) {
  for (uint64_t from : Ids()) {
    for (uint64_t to : Ids()) {
      if (from == to || (link.from != 0 && link.from != from) || (link.to != 0 && link.to != to)) continue;
      visit(from, to);
    }
  }
}

std::string World::Describe(const Message& message) const {
  const std::string what = Text(Link{message.from, message.to}) + " " + std::string(Name(message.kind)) + ": ";
  switch (message.kind) {
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      return what + VoteRequest(message.vote);
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
      return what + AppendRequest(message.append);
    default:
      return what + Answer(message);
  }
}

void World::Send(Message message) {
  if (!IsReply(message.kind)) calls_.push_back(message.call);
  if (IsCut(message.from, message.to) || !Exists(message.to)) return;
  wire_.push_back(std::move(message));
}

std::vector<size_t> World::Select(const Selection& selection) const {
  std::vector<size_t> selected;
  uint64_t count = 0;
  for (size_t i = 0; i < wire_.size(); ++i) {
    const Message& message = wire_[i];
    const Link& link = selection.link;
    if ((link.from != 0 && link.from != message.from) || (link.to != 0 && link.to != message.to)) continue;
    if (selection.kind && *selection.kind != message.kind) continue;
    ++count;
    if (selection.nth == 0 || selection.nth == count) selected.push_back(i);
  }
  return selected;
}

bool World::DeliverAll() {
  const size_t most = kMaxDeliveries + kMostThatFollow * wire_.size();
  for (size_t count = 0; count < most; ++count) {
    auto next = std::find_if(wire_.begin(), wire_.end(), [&](const Message& message) {
      return !held_.contains({message.from, message.to});
    });
    if (next == wire_.end() || !oracle_.violation().empty()) return true;
    Message message = std::move(*next);
    wire_.erase(next);
    Receive(message);
  }
  return false;
}

// Only messages in flight now; those that they cause stay in flight.
size_t World::Deliver(const Selection& selection) {
  std::vector<Message> messages;
  std::vector<size_t> selected = Select(selection);
  for (size_t position : selected) messages.push_back(wire_[position]);
  for (size_t i = selected.size(); i > 0; --i) wire_.erase(wire_.begin() + static_cast<ptrdiff_t>(selected[i - 1]));
  for (const Message& message : messages) Receive(message);
  return messages.size();
}

size_t World::Drop(const Selection& selection) {
  std::vector<size_t> selected = Select(selection);
  for (size_t position : selected) TellLine("lost: " + Describe(wire_[position]));
  for (size_t i = selected.size(); i > 0; --i) wire_.erase(wire_.begin() + static_cast<ptrdiff_t>(selected[i - 1]));
  return selected.size();
}

size_t World::Duplicate(const Selection& selection) {
  std::vector<size_t> selected = Select(selection);
  for (size_t position : selected) {
    TellLine("duplicate: " + Describe(wire_[position]));
    wire_.push_back(Message(wire_[position]));
  }
  return selected.size();
}

void World::Cut(const Link& link) {
  has_begun_ = true;
  ForEach(link, [this](uint64_t from, uint64_t to) {
    cut_.insert({from, to});
    Drop(Selection{Link{from, to}, std::nullopt, 0});
  });
}

void World::Heal() {
  cut_.clear();
  FailLostCalls();
}

// --- arrivals ---

void World::Receive(const Message& message) {
  if (!IsUp(message.to)) return TellLine("lost, receiver down: " + Describe(message));
  const bool is_late = IsReply(message.kind) && servers_.at(message.to).life != message.call->life;
  if (is_late) return TellLine("lost, sender restarted: " + Describe(message));
  switch (message.kind) {
    case MessageKind::kPreVote:
    case MessageKind::kVote:
      return TellVoteRequest(message);
    case MessageKind::kAppend:
    case MessageKind::kHeartbeat:
      return TellAppend(message);
    default:
      return TellReply(message);
  }
}

void World::TellVoteRequest(const Message& message) {
  const uint64_t id = message.to;
  Server& server = servers_.at(id);
  const View before = Look(id);
  std::string fact = std::string(Name(message.kind)) + " request from " + std::to_string(message.from) + ": " +
                     VoteRequest(message.vote) + "; here term " + Text(before.term) + ", last " +
                     Position(before.last, core(id).TermAt(before.last)) +
                     (before.vote ? ", vote " + Text(before.vote) : "");
  if (before.role == Role::kLeader) {
    fact += ", is leader";
  } else if (server.heard) {
    fact += ", heard from " + Text(before.leader) + " " + Milliseconds(now_ - *server.heard) + " ago";
  }
  Event(id, fact, [&](core::Core&) {
    const core::VoteReply reply = ReceiveVoteRequest(message);
    return std::string(reply.results.vote_granted ? "granted" : "refused") + Wait(id, reply.gate);
  });
}

void World::TellAppend(const Message& message) {
  const uint64_t id = message.to;
  const AppendEntriesArgs& args = message.append;
  const View before = Look(id);
  std::string fact = std::string(Name(message.kind)) + " from " + std::to_string(message.from) + ": " +
                     AppendRequest(args) + "; here term " + Text(before.term) + ", last " +
                     Position(before.last, core(id).TermAt(before.last));
  const Term at_prev = core(id).TermAt(args.prev_index);
  if (args.prev_index < before.last && at_prev != args.prev_term) fact += " and " + Position(args.prev_index, at_prev);
  Event(id, fact, [&](core::Core&) -> std::string {
    auto received = ReceiveAppend(message);
    if (!received) return "error: " + received.error().message();
    const core::AppendTicket& ticket = received.value();
    if (args.term >= before.term) servers_.at(id).heard = now_;
    const bool is_old = args.term < before.term;
    const std::string verdict = ticket.accepted ? "accepted up to " + Text(ticket.verified)
                                : is_old        ? "refused, term " + Text(ticket.term)
                                         : "refused, hint " + Position(ticket.conflict.index, ticket.conflict.term);
    return verdict + Wait(id, ticket.gate);
  });
}

void World::TellReply(const Message& message) {
  const std::string fact = std::string(message.call->has_ended ? "late or duplicate " : "") +
                           std::string(Name(message.kind)) + " from " + std::to_string(message.from) + ": " +
                           Answer(message);
  Event(message.to, fact, [&](core::Core&) -> std::string {
    ReceiveReply(message);
    return "";
  });
}

// --- failures ---

bool World::IsLost(const std::shared_ptr<Call>& call) const {
  if (call->has_ended) return false;
  auto carries = [&](const Message& message) { return message.call == call; };
  if (std::any_of(wire_.begin(), wire_.end(), carries)) return false;
  // The receiver may have it, with a reply that waits for the disk; replies from before a crash do not wait.
  return !Exists(call->to) || servers_.at(call->to).gated.empty();
}

void World::FailCall(const std::shared_ptr<Call>& call, const std::string& why) {
  call->has_ended = true;
  const bool is_awaited =
      call->kind == MessageKind::kAppend && IsUp(call->from) && servers_.at(call->from).life == call->life;
  if (!is_awaited) return;  // the next round repeats a vote request or heartbeat
  Event(call->from, why + " append to " + std::to_string(call->to) + " after " + Text(call->append.prev_index),
        [&](core::Core& core) -> std::string {
          core.OnAppendFailed(call->append);
          return "";
        });
}

size_t World::FailCalls(const Link& link) {
  size_t count = 0;
  for (const std::shared_ptr<Call>& call : std::vector(calls_)) {
    if ((link.from != 0 && call->from != link.from) || (link.to != 0 && call->to != link.to)) continue;
    if (call->has_ended || servers_.at(call->from).life != call->life) continue;
    FailCall(call, "connection lost:");
    ++count;
  }
  return count;
}

void World::FailLostCalls() {
  for (const std::shared_ptr<Call>& call : std::vector(calls_)) {
    if (IsLost(call)) FailCall(call, "connection lost:");
  }
}

}  // namespace ringraft::scenario
