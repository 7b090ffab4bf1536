#include "world.h"

#include <algorithm>

namespace ringraft::scenario {

World::World() : options(core::TestOptions(0)) {
  options.tell_commit_when_idle = false;  // as in production: the next append or heartbeat does
}

std::vector<uint64_t> World::Ids() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, server] : servers_) ids.push_back(id);
  return ids;
}

// --- starts and crashes ---

void World::Bootstrap(const std::vector<uint64_t>& servers, const std::vector<uint64_t>& members) {
  if (!members.empty()) members_ = members;
  std::sort(members_.begin(), members_.end());
  for (uint64_t id : servers) {
    Add(id, servers_[id]);
    if (members.empty()) {
      Start(id);
    } else {
      GiveLog(id, {1}, 0, 0);
    }
  }
}

// The first entry is the configuration; the others are commands.
void World::GiveLog(uint64_t id, const std::vector<uint64_t>& terms, uint64_t term, uint64_t vote) {
  Server& server = servers_.at(id);
  server.core.reset();
  server.disk = core::Disk();
  core::Write write;
  write.hard_state = HardState{Term(term), NodeId(vote)};
  for (size_t i = 0; i < terms.size(); ++i) {
    constexpr uint64_t kLeader = kMaxServers + 1;
    write.batches.push_back(i == 0 ? core::ConfigurationBatch(1, terms[0], core::MakeConfiguration(members_), kLeader)
                                   : core::Commands(i + 1, terms[i], 1, kLeader, "t" + std::to_string(terms[i])));
  }
  oracle_.Claim(server.disk.Commit(write).empty(), "a given log makes no sense");
  Start(id);
}

void World::Start(uint64_t id) {
  Server& server = servers_.at(id);
  core::CoreOptions own = options;
  own.self = NodeId(id);
  own.seed = 1 + 100 * (server.life + 1);
  own.is_restart = server.life > 0 && (server.disk.history().last_index() || server.disk.hard_state().term);
  const std::string problem = server.Start(own, durable_machine_ ? server.machine : Index(0), now_);
  if (!problem.empty()) return oracle_.Violate("the log on the disk cannot be recovered: " + problem);
  server.hard_state = server.disk.hard_state();
  oracle_.OnStart(id);
}

// Unfinished writes are lost, except for the oldest `written`; messages in flight may still arrive.
void World::Stop(uint64_t id, size_t written) {
  Server& server = servers_.at(id);
  server.DrivenCore::Crash(written);
  if (!server.problem.empty()) oracle_.Violate(server.problem);
  server.heard.reset();
  server.reads.clear();
  server.changes.clear();
  server.proposals.clear();
}

void World::Crash(uint64_t id, size_t keeping) {
  has_begun_ = true;
  Server& server = servers_.at(id);
  const size_t written = std::min(keeping, server.writing.size());
  const size_t lost = server.writing.size() - written;
  Stop(id, written);
  auto writes = [](size_t count) { return std::to_string(count) + (count == 1 ? " write" : " writes"); };
  Tell(id,
       Join({"crashes", written > 0 ? writes(written) + " on the disk" : "", lost > 0 ? writes(lost) + " lost" : ""}));
}

void World::Restart(uint64_t id) {
  Start(id);
  if (!IsUp(id)) return;
  const View view = Look(id);
  Tell(id, "starts with term " + Text(view.term) + ", vote " + (view.vote ? Text(view.vote) : "none") + ", last " +
               Position(view.last, core(id).TermAt(view.last)) + " -> " + RoleName(view.role) +
               (view.applied ? ", applied " + Text(view.applied) : ""));
  FailLostCalls();  // connections are new
}

void World::Wipe(uint64_t id) {
  has_begun_ = true;
  if (IsUp(id)) Stop(id);
  servers_.at(id).disk = core::Disk();
  servers_.at(id).machine = Index(0);
  oracle_.OnWipe(id);
  Tell(id, "its disk is wiped");
}

// --- the story ---

View World::Look(uint64_t id) const {
  const Server& server = servers_.at(id);
  const core::Core& core = *server.core;
  View view;
  view.role = core.role();
  view.term = core.term();
  view.leader = core.leader();
  view.vote = server.hard_state.term == core.term() ? server.hard_state.vote : NodeId(0);
  view.last = core.last_index();
  view.durable = core.durable_index();
  view.commit = core.commit_index();
  view.applied = core.applied_index();
  view.configuration = core.configuration_index();
  return view;
}

void World::TellLine(const std::string& line) {
  if (!is_muted_) story_.push_back(line);
}

void World::TellEvent(uint64_t id, const Line& line) {
  const std::string changes = Join(line.changes);
  if (only_changes_ && changes.empty()) return;
  const std::string decision = Join({line.answer, changes}, "; ");
  Tell(id, line.fact + " -> " + (decision.empty() ? "nothing" : decision));
}

void World::Event(uint64_t id, const std::string& fact, const std::function<std::string(core::Core&)>& act) {
  has_begun_ = true;
  Server& server = servers_.at(id);
  const View before = Look(id);
  Line line;
  line.fact = fact;
  line.answer = act(*server.core);
  Settle(id, before, line);
  TellEvent(id, line);
  while (IsUp(id) && !server.holds_disk && !server.writing.empty()) FlushOne(id);
}

// The end of a turn, in the order of src/node; the changes in an order for the reader.
void World::Settle(uint64_t id, const View& before, Line& line) {
  Server& server = servers_.at(id);
  server->CheckInvariants();
  oracle_.OnEvent(id, cores_);
  View after = Look(id);
  if (after.term != before.term && !(server.heard && *server.heard == now_ && after.leader)) server.heard.reset();
  line.changes.push_back(RoleChange(before, after));
  CheckChanges(id, line);
  if (before.role == Role::kLeader && (after.role != Role::kLeader || after.term != before.term)) {
    LoseProposals(id, line);
  }
  TakeWrites(id, line);
  Line sends;
  SendAppends(id, sends);
  std::vector<std::string> applied;
  if (!server.holds_apply) ApplyOrHold(id, applied);
  after = Look(id);
  TellCommitAndApply(before, after, applied, CompleteProposals(id), line);
  line.changes.insert(line.changes.end(), sends.changes.begin(), sends.changes.end());
  TakeVoteRound(id, line);
}

void World::CheckAll() {
  oracle_.CheckLogMatching(cores_);
  for (const auto& [id, server] : servers_) {
    if (server.core != nullptr) server.core->CheckInvariants();
  }
}

// --- the end ---

void World::Repair() {
  held_.clear();
  for (uint64_t id : Ids()) {
    ReleaseDisk(id);
    servers_.at(id).disk_fails = false;
    if (!IsUp(id)) Restart(id);
    ReleaseReads(id);
    ReleaseApply(id);
  }
  Heal();
}

std::string World::Unrest() const {
  uint64_t leader = 0;
  for (const auto& [id, server] : servers_) {
    if (!server.IsUp() || !server->is_leader()) continue;
    if (leader != 0) return "two servers lead";
    leader = id;
  }
  if (leader == 0) return "there is no leader";
  std::string unrest = Driver::Unrest(leader);
  if (!unrest.empty()) return unrest;
  for (const Peer& peer : core(leader).configuration().Members()) {
    const uint64_t id = peer.id.value();
    const std::string who = "server " + std::to_string(id) + " ";
    const Server& server = servers_.at(id);
    if (server->commit_index() != server->last_index()) return who + "does not know that all entries are committed";
    if (!server.writing.empty() || !server.gated.empty()) return who + "has pending writes or replies";
    if (!server.proposals.empty() || !server.changes.empty()) return who + "has waiting callers";
  }
  return wire_.empty() ? "" : "messages are in flight";
}

}  // namespace ringraft::scenario
