// The work of a server after each call into its core, as in src/node.
#include <algorithm>

#include "world.h"

namespace ringraft::scenario {
namespace {

constexpr Duration kTransferTime = std::chrono::milliseconds(200);

}  // namespace

void World::TakeWrites(uint64_t id, Line& line) {
  Server& server = servers_.at(id);
  size_t taken = server.writing.size();
  server.TakeWrites(now_);
  for (; taken < server.writing.size(); ++taken) {
    const core::Write& write = server.writing[taken];
    if (write.hard_state) server.hard_state = *write.hard_state;
    if (write.truncate_after) line.changes.push_back("truncates after " + Text(*write.truncate_after));
    if (!write.batches.empty()) line.changes.push_back("appends " + Entries(write.batches, server.core->term()));
    if (server.holds_disk) line.changes.push_back("write " + std::to_string(write.number) + " waits");
  }
}

// --- requests of callers ---

void World::Propose(uint64_t id, const std::vector<std::string>& texts) {
  if (core(id).IsTransferring()) return Tell(id, "proposal -> waits for the end of the transfer");
  if (!core(id).is_leader()) {
    Tell(id, "proposal; " + RoleName(core(id).role()) +
                 (core(id).leader() ? " of " + Text(core(id).leader()) : ", no known leader") + " -> refused");
    return;
  }
  Event(id, "proposal", [&](core::Core& core) -> std::string {
    BatchBuilder builder;
    for (const std::string& text : texts) builder.Add(LogEntryType::kCommand, text);
    const BatchRef batch = core.Propose(builder, 0);
    for (size_t i = 0; i < texts.size(); ++i) {
      servers_.at(id).proposals.push_back(Proposal{batch.first() + i, batch.term(), texts[i]});
    }
    return "";
  });
}

void World::Change(uint64_t id, const std::vector<ChangeStep>& steps) {
  ConfigChange change;
  std::string what;
  for (const ChangeStep& step : steps) {
    const NodeId server(step.server);
    switch (step.sign) {
      case '+':
        change.AddVoter(core::MakePeer(step.server));
        break;
      case '~':
        change.AddLearner(core::MakePeer(step.server));
        break;
      case '^':
        change.Promote(server);
        break;
      case '_':
        change.Demote(server);
        break;
      default:
        change.Remove(server);
    }
    what += std::string(" ") + step.sign + std::to_string(step.server);
  }
  Event(id, "change" + what + "; members " + Members(core(id).configuration()), [&](core::Core& core) -> std::string {
    core.OnTick(now_);  // as src/node does: new members count as in contact from now on
    auto ticket = core.ProposeConfig(change);
    if (!ticket) return "refused: " + ticket.error().message();
    servers_.at(id).changes.push_back(ticket.value());
    return ticket.value()->index ? "" : "new voters catch up";
  });
}

void World::Abort(uint64_t id) {
  Event(id, "abort", [&](core::Core& core) -> std::string {
    auto aborted = core.AbortConfig(Errc::kChangeAborted);
    return aborted ? "" : "refused: " + aborted.error().message();
  });
}

void World::Transfer(uint64_t id, uint64_t to) {
  Event(id, "transfer to " + std::to_string(to), [&](core::Core& core) -> std::string {
    auto begun = core.TransferLeadership(now_, NodeId(to), now_ + kTransferTime);
    return begun ? "begins" : "refused: " + begun.error().message();
  });
}

void World::Heartbeat(uint64_t id, uint64_t to) {
  Server& server = servers_.at(id);
  std::vector<std::pair<std::string, std::vector<uint64_t>>> sent;
  for (const PeerStatus& status : server.core->PeerStatuses(now_)) {
    const uint64_t peer = status.peer.id.value();
    if (status.is_self || (to != 0 && to != peer)) continue;
    std::optional<core::AppendRequest> request = server.core->NextHeartbeat(status.peer.id, now_);
    if (!request) continue;
    const std::string what = "after " + Position(request->args.prev_index, request->args.prev_term) + ", commit " +
                             Text(request->args.leader_commit) + (request->args.timeout_now ? ", timeout-now" : "");
    if (sent.empty() || sent.back().first != what) sent.push_back({what, {}});
    sent.back().second.push_back(peer);
    SendAppend(id, *request);
  }
  if (only_changes_) return;
  for (const auto& [what, peers] : sent) Tell(id, "heartbeat " + what + " to " + Servers(peers));
  if (sent.empty()) Tell(id, RoleName(server.core->role()) + " -> no heartbeat");
}

// --- elections ---

void World::TakeVoteRound(uint64_t id, Line& line) {
  std::optional<core::VoteRound> round = servers_.at(id).core->NextVoteRound();
  if (!round) return;
  std::vector<uint64_t> peers;
  for (const Peer& peer : round->peers) peers.push_back(peer.id.value());
  const std::string requests =
      std::string("requests ") + (round->args.pre_vote ? "pre-votes" : "votes") + " from " + Servers(peers);
  const bool is_durable = round->gate <= core(id).persisted();
  const std::string waits = Wait(id, round->gate);
  SendVoteRequests(id, *round, requests);
  // Otherwise the write reports it.
  if (is_durable || !waits.empty()) line.changes.push_back(requests + waits);
}

// --- replication ---

// Equal appends to several peers are reported once.
void World::SendAppends(uint64_t id, Line& line) {
  Server& server = servers_.at(id);
  if (!server.core->is_leader()) return;
  std::vector<std::pair<std::string, std::vector<uint64_t>>> sent;
  for (const PeerStatus& status : server.core->PeerStatuses(now_)) {
    const uint64_t peer = status.peer.id.value();
    while (!status.is_self) {
      core::NextAppendResult next = server.core->NextAppend(status.peer.id, now_);
      if (auto* read = std::get_if<core::ReadRequest>(&next)) {
        if (server.holds_reads) {
          line.changes.push_back("the read from " + Text(read->from) + " for " + std::to_string(peer) + " waits");
          server.reads.push_back(HeldRead{peer, read->from, server.disk.Read(read->from, read->max_bytes)});
          break;
        }
        line.changes.push_back("reads from " + Text(read->from));
        server.core->OnRead(status.peer.id, server.disk.Read(read->from, read->max_bytes));
        continue;
      }
      auto* request = std::get_if<core::AppendRequest>(&next);
      if (request == nullptr) break;
      const AppendEntriesArgs& args = request->args;
      const std::string what =
          (args.entries.empty() ? "an empty append" : Range(args.entries.front().first(), args.entries.back().last())) +
          " after " + Position(args.prev_index, args.prev_term);
      auto same = std::find_if(sent.begin(), sent.end(), [&](const auto& other) { return other.first == what; });
      if (same == sent.end()) same = sent.insert(sent.end(), {what, {}});
      same->second.push_back(peer);
      SendAppend(id, *request);
    }
  }
  for (const auto& [what, peers] : sent) line.changes.push_back("sends " + what + " to " + Servers(peers));
  std::optional<core::AppendRequest> timeout_now = server.core->NextTimeoutNow(now_);
  if (!timeout_now) return;
  line.changes.push_back("sends timeout-now to " + Text(timeout_now->peer.id));
  SendAppend(id, *timeout_now);
}

size_t World::Read(uint64_t id) {
  std::vector<HeldRead> reads = std::exchange(servers_.at(id).reads, {});
  for (const HeldRead& read : reads) {
    const std::string reader = read.peer == 0 ? "the machine" : std::to_string(read.peer);
    const std::string fact = "read from " + Text(read.from) + " for " + reader + ": " + EntryRuns(read.batches);
    Event(id, fact, [&](core::Core& core) -> std::string {
      if (read.peer != 0) {
        core.OnRead(NodeId(read.peer), read.batches);
        return "";
      }
      std::vector<std::string> applied;
      ApplyBatches(id, core.OnApplyRead(read.batches, durable_machine_), Collect(applied));
      return applied.empty() ? "" : "applies " + Join(applied, " ");
    });
  }
  return reads.size();
}

void World::ReleaseReads(uint64_t id) {
  servers_.at(id).holds_reads = false;
  Read(id);
}

// --- the state machine and the callers ---

core::Driver::ApplyEntry World::Collect(std::vector<std::string>& applied) const {
  return [&applied](const LogEntry& entry) {
    if (entry.type == LogEntryType::kCommand) applied.emplace_back(entry.command);
    return true;
  };
}

void World::ApplyOrHold(uint64_t id, std::vector<std::string>& applied) {
  Server& server = servers_.at(id);
  for (const HeldRead& read : server.reads) {
    if (read.peer == 0) return;  // later entries wait for this read
  }
  ApplyCommitted(id, Collect(applied), [&](const core::ReadRequest& read) {
    if (server.holds_reads) {
      server.reads.push_back(HeldRead{0, read.from, server.disk.Read(read.from, read.max_bytes)});
    }
    return server.holds_reads;
  });
}

void World::TellCommitAndApply(const View& before, const View& after, const std::vector<std::string>& applied,
                               const std::vector<std::string>& completed, Line& line) {
  if (after.commit > before.commit) line.changes.push_back("commits " + Range(before.commit + 1, after.commit));
  if (!applied.empty() && applied == completed) {
    line.changes.push_back("applies and completes " + Join(applied, " "));
    return;
  }
  if (!applied.empty()) line.changes.push_back("applies " + Join(applied, " "));
  if (!completed.empty()) line.changes.push_back("completes " + Join(completed, " "));
}

void World::Apply(uint64_t id) {
  Event(id, "the machine is ready", [&](core::Core&) -> std::string {
    std::vector<std::string> applied;
    ApplyOrHold(id, applied);
    return applied.empty() ? "" : "applies " + Join(applied, " ");
  });
}

void World::ReleaseApply(uint64_t id) {
  const bool was_held = std::exchange(servers_.at(id).holds_apply, false);
  if (was_held && IsUp(id)) Apply(id);
}

std::vector<std::string> World::CompleteProposals(uint64_t id) {
  Server& server = servers_.at(id);
  std::vector<std::string> completed;
  while (!server.proposals.empty() && server.proposals.front().index <= server.machine) {
    const Proposal& proposal = server.proposals.front();
    // As in src/node: the applied entry is the caller's own only if it has the same term.
    if (server.core->TermAt(proposal.index) == proposal.term) {
      oracle_.OnResult(proposal.index, proposal.term);
      completed.push_back(proposal.text);
      server.completed.insert(proposal.text);
    }
    server.proposals.erase(server.proposals.begin());
  }
  return completed;
}

// The outcome of proposals in flight when the leader steps down is unknown: another leader may commit them. Those
// already committed complete when they are applied.
void World::LoseProposals(uint64_t id, Line& line) {
  Server& server = servers_.at(id);
  std::vector<std::string> lost;
  std::erase_if(server.proposals, [&](const Proposal& proposal) {
    const bool is_ours = server.core->TermAt(proposal.index) == proposal.term;
    if (is_ours && proposal.index <= server.core->commit_index()) return false;
    lost.push_back(proposal.text);
    server.lost.insert(proposal.text);
    return true;
  });
  if (!lost.empty()) line.changes.push_back("outcome unknown: " + Join(lost, " "));
}

bool World::HasCompleted(uint64_t server, const std::string& text) const {
  return servers_.at(server).completed.contains(text);
}

bool World::HasLost(uint64_t server, const std::string& text) const { return servers_.at(server).lost.contains(text); }

void World::CheckChanges(uint64_t id, Line& line) {
  Server& server = servers_.at(id);
  std::erase_if(server.changes, [&](const core::ConfigTicket& ticket) {
    const core::ConfigProgress progress = server.core->CheckConfig(ticket);
    if (progress == core::ConfigProgress::kPending || progress == core::ConfigProgress::kCatchingUp) return false;
    if (progress == core::ConfigProgress::kRefused) {
      line.changes.push_back("the change is refused: " + ticket->refusal.message());
    } else {
      line.changes.push_back("the change at " + Text(ticket->index) +
                             (progress == core::ConfigProgress::kDone ? " is done" : " has an unknown outcome"));
    }
    return true;
  });
}

// --- durability ---

// What the story adds to an action that waits for a held disk.
std::string World::Wait(uint64_t id, core::WriteNumber gate) const {
  const Server& server = servers_.at(id);
  return gate > server->persisted() && server.holds_disk ? " after write " + std::to_string(gate) : "";
}

void World::FlushOne(uint64_t id) {
  Server& server = servers_.at(id);
  const std::string fact = "write " + std::to_string(server.writing.front().number);
  if (std::exchange(server.disk_fails, false)) {
    Stop(id);
    Tell(id, fact + " fails -> stops");
    return;
  }
  const View before = Look(id);
  Line line;
  line.fact = fact + " is durable";
  std::vector<std::string> sent;
  for (core::DrivenCore::Gated& gated : server.FinishWrites(now_)) {
    gated.action();
    // Without a held disk a reply is sent at once, which needs no mention; vote requests are mentioned.
    if (server.holds_disk || gated.what.starts_with("requests")) sent.push_back(gated.what);
  }
  if (!server.problem.empty()) oracle_.Violate(server.problem);
  Settle(id, before, line);
  line.changes.insert(line.changes.begin(), sent.begin(), sent.end());
  if (server.holds_disk || !Join(line.changes).empty()) TellEvent(id, line);
}

size_t World::Flush(uint64_t id, size_t count) {
  Server& server = servers_.at(id);
  size_t flushed = 0;
  if (count == 0) count = server.writing.size();  // not those that they cause
  while (IsUp(id) && !server.writing.empty() && flushed < count) {
    FlushOne(id);
    ++flushed;
  }
  return flushed;
}

void World::ReleaseDisk(uint64_t id) {
  Server& server = servers_.at(id);
  while (IsUp(id) && !server.writing.empty()) FlushOne(id);
  server.holds_disk = false;
}

void World::FailDisk(uint64_t id) {
  has_begun_ = true;
  servers_.at(id).disk_fails = true;
  if (!servers_.at(id).writing.empty()) FlushOne(id);
}

}  // namespace ringraft::scenario
