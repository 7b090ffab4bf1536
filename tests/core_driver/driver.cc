#include "core_driver/driver.h"

#include <utility>

namespace ringraft::core {
namespace {

Message Request(MessageKind kind, uint64_t from, uint64_t life, uint64_t to, TimePoint now) {
  Message message;
  message.kind = kind;
  message.from = from;
  message.to = to;
  message.call = std::make_shared<Call>();
  message.call->kind = kind;
  message.call->from = from;
  message.call->life = life;
  message.call->to = to;
  message.call->sent = now;
  return message;
}

Message Reply(const Message& request) {
  Message reply;
  reply.kind = ReplyTo(request.kind);
  reply.from = request.to;
  reply.to = request.from;
  reply.call = request.call;
  return reply;
}

}  // namespace

void Driver::SendVoteRequests(uint64_t id, const VoteRound& round, const std::string& what) {
  driven(id).WhenDurable({round.gate, what, [this, id, round] {
                            if (!round.args.pre_vote)
                              oracle_.OnVoteSent(id, round.args.term, NodeId(id), driven(id).disk);
                            for (const Peer& peer : round.peers) {
                              const MessageKind kind = round.args.pre_vote ? MessageKind::kPreVote : MessageKind::kVote;
                              Message message = Request(kind, id, driven(id).life, peer.id.value(), now_);
                              message.vote = round.args;
                              message.vote.to = peer.id;
                              message.call->vote = round.ticket;
                              Send(std::move(message));
                            }
                          }});
}

std::shared_ptr<Call> Driver::SendAppend(uint64_t id, const AppendRequest& request) {
  const MessageKind kind = request.ticket.sequence == 0 ? MessageKind::kHeartbeat : MessageKind::kAppend;
  Message message = Request(kind, id, driven(id).life, request.peer.id.value(), now_);
  message.append = request.args;
  message.call->append = request.ticket;
  std::shared_ptr<Call> call = message.call;
  Send(std::move(message));
  return call;
}

VoteReply Driver::ReceiveVoteRequest(const Message& message) {
  const uint64_t id = message.to;
  VoteReply received = driven(id)->OnRequestVote(now_, message.vote);
  Message reply = Reply(message);
  reply.vote_results = received.results;
  const bool is_vote = received.results.vote_granted && message.kind == MessageKind::kVote;
  auto send = [this, id, reply, is_vote, args = message.vote] {
    const Disk& disk = driven(id).disk;
    if (is_vote) oracle_.OnVoteSent(id, args.term, args.candidate_id, disk);
    oracle_.Claim(disk.hard_state().term >= reply.vote_results.term || reply.vote_results.term <= Term(1),
                  "a reply was sent before its term was durable");
    Send(reply);
  };
  driven(id).WhenDurable({received.gate, "replies to " + std::to_string(message.from), std::move(send)});
  return received;
}

Result<AppendTicket> Driver::ReceiveAppend(const Message& message) {
  const uint64_t id = message.to;
  Message reply = Reply(message);
  auto received = driven(id)->OnAppendEntries(now_, message.append);
  if (!received) {
    reply.error = "error: " + received.error().message();
    Send(std::move(reply));
    return received;
  }
  auto send = [this, id, reply, ticket = received.value(), args = message.append]() mutable {
    reply.append_results = driven(id)->FinishAppend(ticket);
    oracle_.OnAppendReplySent(args, reply.append_results, ticket.term, driven(id).disk);
    Send(reply);
  };
  driven(id).WhenDurable({received.value().gate, "replies to " + std::to_string(message.from), std::move(send)});
  return received;
}

void Driver::ReceiveReply(const Message& message) {
  Core& core = *driven(message.to).core;
  Call& call = *message.call;
  call.has_ended = true;
  if (IsVote(message.kind)) {
    core.OnVoteReply(now_, NodeId(message.from), call.vote, message.vote_results);
  } else if (message.kind == MessageKind::kHeartbeatReply) {
    if (message.error.empty()) core.OnHeartbeatReply(now_, call.append, message.append_results);
  } else if (message.error.empty()) {
    core.OnAppendReply(now_, call.append, message.append_results);
  } else {
    core.OnAppendFailed(call.append);
  }
}

void Driver::ApplyCommitted(uint64_t id, const ApplyEntry& apply,
                            const std::function<bool(const ReadRequest&)>& holds_read) {
  DrivenCore& server = driven(id);
  while (true) {
    NextApplyResult next = server->NextApply(apply_bytes_, durable_machine_);
    if (auto* read = std::get_if<ReadRequest>(&next)) {
      if (holds_read && holds_read(*read)) return;
      const auto stored = server->OnApplyRead(server.disk.Read(read->from, read->max_bytes), durable_machine_);
      oracle_.Claim(!stored.empty(), "a read for the machine brought nothing to apply");
      if (stored.empty()) return;
      ApplyBatches(id, stored, apply);
      continue;
    }
    auto* batches = std::get_if<std::vector<BatchRef>>(&next);
    if (batches == nullptr) return;
    ApplyBatches(id, *batches, apply);
  }
}

void Driver::ApplyBatches(uint64_t id, const std::vector<BatchRef>& batches, const ApplyEntry& apply) {
  DrivenCore& server = driven(id);
  if (batches.empty()) return;
  bool goes_on = true;
  for (auto batch = batches.begin(); batch != batches.end() && goes_on; ++batch) {
    for (auto entry = batch->begin(); entry != batch->end() && goes_on; ++entry) {
      oracle_.OnApply(id, *entry, server.machine, server->commit_index());
      oracle_.Claim(!durable_machine_ || server.disk.history().Match((*entry).index, (*entry).term),
                    "a durable machine got an entry that is not durable");
      server.machine = (*entry).index;
      goes_on = apply(*entry);
    }
  }
  server->OnApplied(server.machine);
}

std::string Driver::Unrest(uint64_t leader) const {
  const DrivenCore& leading = driven(leader);
  const Configuration& configuration = leading->configuration();
  if (configuration.is_joint()) return "the configuration is still joint";
  if (!configuration.IsVoter(NodeId(leader))) return "the leader is not a voter";
  const Index last = leading->last_index();
  for (const Peer& peer : configuration.Members()) {
    const uint64_t id = peer.id.value();
    auto server = [&](const char* state) { return "server " + std::to_string(id) + " " + state; };
    auto found = cores_.find(id);
    if (found == cores_.end()) return server("does not exist");
    const DrivenCore& member = *found->second;
    if (!member.IsUp()) return server("is down");
    if (member->term() != leading->term()) return server("is in another term");
    if (member.disk.history().last_index() != last || member.disk.history().runs() != leading.disk.history().runs()) {
      return server("has another log");
    }
    if (member->applied_index() != last) return server("has not applied all entries");
  }
  for (const PeerStatus& status : leading->PeerStatuses(now_)) {
    if (status.match_index != last) return "the leader does not know that all members have all entries";
    if (status.inflight_bytes != 0) return "the leader counts bytes in flight";
  }
  return "";
}

}  // namespace ringraft::core
