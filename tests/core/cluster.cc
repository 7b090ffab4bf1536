#include "cluster.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/quorum.h"

namespace ringraft::core {
namespace {

constexpr uint64_t kMostEvents = 10'000;  // a second of virtual time has some hundreds

// doctest's macros are slow in places that run millions of times.
void Claim(bool holds, const char* what) {
  if (!holds) FAIL(std::string(what));
}

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)), random_(options_.seed * 0x9e3779b97f4a7c15u + 1) {
  Configuration first;
  for (uint64_t id = 1; id <= options_.initial; ++id) first.voters.push_back(MakePeer(id));
  for (uint64_t id = 1; id <= options_.servers; ++id) {
    Node& node = nodes_[id];
    if (id <= options_.initial) {
      Write founding;
      founding.batches.push_back(ConfigurationBatch(1, 1, first, 1));
      node.disk.Commit(founding);
    }
    Start(id);
  }
}

uint64_t Cluster::Draw(uint64_t n) {
  random_ = random_ * 6364136223846793005u + 1442695040888963407u;
  return (random_ >> 33) % n;
}

Duration Cluster::RandomDelay() {
  auto range = static_cast<uint64_t>((options_.most_delay - options_.least_delay).count()) + 1;
  // Some messages are very late, and overtaken by many.
  uint64_t factor = Draw(20) == 0 ? 1 + Draw(20) : 1;
  return options_.least_delay + Duration(static_cast<int64_t>(Draw(range) * factor));
}

// --- events ---

void Cluster::At(TimePoint when, uint64_t id, std::function<void()> action) {
  uint64_t life = nodes_.at(id).life;
  events_.emplace(std::pair(std::max(when, now_), ++last_event_), [this, id, life, action = std::move(action)] {
    if (nodes_.at(id).life != life || !IsUp(id)) return;
    action();
    if (IsUp(id)) Pump(id);
  });
}

void Cluster::Step() {
  REQUIRE(!events_.empty());
  auto event = events_.extract(events_.begin());
  const auto seconds = static_cast<uint64_t>((now_ - TimePoint(std::chrono::hours(1))) / std::chrono::seconds(1));
  Claim(last_event_ < (seconds + 10) * kMostEvents, "the cluster talks without end");
  now_ = event.key().first;
  event.mapped()();
}

void Cluster::RunFor(Duration duration) {
  TimePoint end = now_ + duration;
  while (!events_.empty() && events_.begin()->first.first <= end) Step();
  now_ = end;
}

bool Cluster::RunUntil(const std::function<bool()>& condition, Duration limit) {
  TimePoint end = now_ + limit;
  while (!condition()) {
    if (events_.empty() || events_.begin()->first.first > end) return false;
    Step();
  }
  return true;
}

// The message arrives late, twice, or never.
void Cluster::Send(uint64_t from, uint64_t to, std::function<void()> deliver) {
  auto chance = [&](double probability) { return static_cast<double>(Draw(1000)) < probability * 1000; };
  int copies = chance(options_.repeat) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Duration delay = RandomDelay();
    if (chance(options_.drop) || !nodes_.contains(to)) continue;
    events_.emplace(std::pair(now_ + delay, ++last_event_), [this, from, to, deliver] {
      if (cut_.contains({from, to}) || !IsUp(to)) return;
      deliver();
      if (IsUp(to)) Pump(to);
    });
  }
}

// --- life and death ---

void Cluster::Start(uint64_t id) {
  Node& node = nodes_.at(id);
  REQUIRE(node.core == nullptr);
  ++node.life;
  RecoveredLog recovered = node.disk.Recover();
  REQUIRE(Core::CheckRecovered(recovered).has_value());
  CoreOptions options = TestOptions(id);
  options.seed = options_.seed + node.life * 1000;
  options.is_restart = node.life > 1;
  options.catch_up_rounds = 10;
  options.peer_window_calls = 4;
  options.peer_window_bytes = 2000;
  options.max_append_bytes = 600;
  options.cached_tail_bytes = 1500;
  if (options_.adjust) options_.adjust(options);
  node.applied = options_.durable_machine ? node.machine : Index(0);
  node.core = std::make_unique<Core>(options, recovered, node.applied, now_);
  node.led_term = Term(0);
  node.tick = TimePoint::max();
  node.probing.clear();
  Pump(id);
}

// What was being written may be on the disk or not, in order; nobody learns which.
void Cluster::Crash(uint64_t id) {
  Node& node = nodes_.at(id);
  REQUIRE(node.core != nullptr);
  for (uint64_t survivors = Draw(node.writing.size() + 1); survivors > 0; --survivors) {
    node.disk.Commit(node.writing.front());
    node.writing.pop_front();
  }
  node.writing.clear();
  node.waiting.clear();
  node.core.reset();
  ++node.life;
}

// --- what src/node does ---

void Cluster::Pump(uint64_t id) {
  Node& node = nodes_.at(id);
  Observe(id);
  while (node.core->HasWrite()) {
    node.writing.push_back(node.core->NextWrite(now_));
    if (node.writing.size() == 1) StartWrite(id);
  }
  if (auto round = node.core->NextVoteRound()) SendVotes(id, *round);
  if (node.core->is_leader()) {
    for (const PeerStatus& status : node.core->PeerStatuses(now_)) {
      if (!status.is_self) SendAppends(id, status.peer.id.value());
    }
    if (auto stand = node.core->NextTimeoutNow(now_)) SendAppend(id, *stand);
  }
  Apply(id);
  TimePoint due = node.core->NextTick();
  if (due < node.tick || node.tick <= now_) {
    node.tick = due;
    if (due != TimePoint::max()) {
      At(due, id, [this, id] {
        Node& ticking = nodes_.at(id);
        ticking.tick = TimePoint::max();
        if (ticking.core->NextTick() <= now_) ticking.core->OnTick(now_);
      });
    }
  }
  node.core->CheckInvariants();
}

void Cluster::StartWrite(uint64_t id) {
  auto range = static_cast<uint64_t>(options_.most_write_time.count());
  Duration time(static_cast<int64_t>(Draw(range) * (Draw(30) == 0 ? 30 : 1)));
  At(now_ + time, id, [this, id] { FinishWrite(id); });
}

void Cluster::FinishWrite(uint64_t id) {
  Node& node = nodes_.at(id);
  // Group commit: what waits may go along, and only the last completion be reported.
  WriteNumber number = 0;
  for (uint64_t count = 1 + Draw(node.writing.size()); count > 0; --count) {
    number = node.writing.front().number;
    node.disk.Commit(node.writing.front());
    node.writing.pop_front();
  }
  if (!node.writing.empty()) StartWrite(id);
  node.core->OnPersisted(now_, number);
  Observe(id);
  std::vector<Waiting> ready;
  std::vector<Waiting> still;
  for (Waiting& waiting : node.waiting) (waiting.gate <= number ? ready : still).push_back(std::move(waiting));
  node.waiting = std::move(still);
  for (Waiting& waiting : ready) waiting.action();
}

void Cluster::WhenDurable(uint64_t id, WriteNumber gate, std::function<void()> action) {
  Node& node = nodes_.at(id);
  if (gate <= node.core->persisted()) {
    action();
  } else {
    node.waiting.push_back(Waiting{gate, std::move(action)});
  }
}

void Cluster::SendVotes(uint64_t id, const VoteRound& round) {
  WhenDurable(id, round.gate, [this, id, round] {
    for (const Peer& peer : round.peers) {
      RequestVoteArgs args = round.args;
      args.to = peer.id;
      uint64_t to = peer.id.value();
      uint64_t life = nodes_.at(id).life;
      Send(id, to, [this, id, to, life, args, ticket = round.ticket] {
        VoteReply reply = core(to).OnRequestVote(now_, args);
        WhenDurable(to, reply.gate, [this, id, to, life, args, ticket, results = reply.results] {
          if (results.vote_granted && !args.pre_vote) {
            // §3.4 and A1: over all its lives a server grants one candidate a term.
            auto [vote, is_new] = votes_.try_emplace({to, args.term}, args.candidate_id.value());
            Claim(vote->second == args.candidate_id.value(), "a server voted twice in a term");
            Claim(disk(to).hard_state().term > args.term ||
                      disk(to).hard_state() == HardState{args.term, args.candidate_id},
                  "a vote left before it was durable");
          }
          Send(to, id, [this, id, to, life, ticket, results] {
            if (nodes_.at(id).life == life) core(id).OnVoteReply(now_, NodeId(to), ticket, results);
          });
        });
      });
    }
  });
}

void Cluster::SendAppends(uint64_t id, uint64_t peer) {
  Node& node = nodes_.at(id);
  if (node.probing.contains(peer)) return;
  while (true) {
    NextAppendResult next = node.core->NextAppend(NodeId(peer), now_);
    if (auto* request = std::get_if<AppendRequest>(&next)) {
      SendAppend(id, *request);
      continue;
    }
    if (auto* read = std::get_if<ReadRequest>(&next)) {
      At(now_ + RandomDelay(), id, [this, id, peer, read = *read] {
        std::vector<BatchRef> batches;
        if (Draw(10) != 0) batches = disk(id).Read(read.from, read.max_bytes);
        core(id).OnRead(NodeId(peer), std::move(batches));
      });
    }
    return;
  }
}

void Cluster::SendAppend(uint64_t id, const AppendRequest& request) {
  uint64_t to = request.peer.id.value();
  uint64_t life = nodes_.at(id).life;
  const bool is_heartbeat = request.ticket.sequence == 0;
  auto done = std::make_shared<bool>(false);
  Send(id, to, [this, id, to, life, done, is_heartbeat, args = request.args, ticket = request.ticket] {
    auto received = core(to).OnAppendEntries(now_, args);
    Claim(received.has_value(), received ? "" : "a correct append was refused as malformed");
    WhenDurable(to, received.value().gate,
                [this, id, to, life, done, is_heartbeat, args, ticket, append = received.value()] {
                  AppendEntriesResults results = core(to).FinishAppend(append);
                  if (results.success) {
                    Claim(disk(to).history().last_index() >= results.durable_match,
                          "a reply named a match that is not durable");
                    bool is_data = !args.entries.empty();
                    Claim(!is_data || results.durable_match == ticket.last_index,
                          "an answer to data named less than all of it");
                  }
                  Claim(disk(to).hard_state().term >= append.term, "a reply left before its term was durable");
                  Send(to, id, [this, id, to, life, done, is_heartbeat, ticket, results] {
                    if (nodes_.at(id).life != life) return;
                    *done = true;
                    if (is_heartbeat) {
                      core(id).OnHeartbeatReply(now_, ticket, results);
                      Claim(core(id).LostMatches(NodeId(to)) == 0, "durable data was lost");
                    } else {
                      core(id).OnAppendReply(now_, ticket, results);
                    }
                  });
                });
  });
  if (is_heartbeat) return;
  At(now_ + options_.call_timeout, id, [this, id, to, done, ticket = request.ticket] {
    if (*done) return;
    core(id).OnAppendFailed(ticket);
    nodes_.at(id).probing.insert(to);
    At(now_ + 20 * kMs, id, [this, id, to] { nodes_.at(id).probing.erase(to); });
  });
}

void Cluster::Heartbeat(uint64_t id, Term term) {
  if (!core(id).is_leader() || core(id).term() != term) return;
  for (const PeerStatus& status : core(id).PeerStatuses(now_)) {
    if (status.is_self) continue;
    auto heartbeat = core(id).NextHeartbeat(status.peer.id, now_);
    Claim(heartbeat.has_value(), "a leader has a heartbeat for each member");
    SendAppend(id, *heartbeat);
  }
  At(now_ + 50 * kMs, id, [this, id, term] { Heartbeat(id, term); });
}

void Cluster::Apply(uint64_t id) {
  Node& node = nodes_.at(id);
  while (true) {
    NextApplyResult next = node.core->NextApply(500, options_.durable_machine);
    if (auto* read = std::get_if<ReadRequest>(&next)) {
      ApplyBatches(id, node.core->OnApplyRead(node.disk.Read(read->from, 500), options_.durable_machine));
      continue;
    }
    if (auto* batches = std::get_if<std::vector<BatchRef>>(&next)) {
      ApplyBatches(id, *batches);
      continue;
    }
    return;
  }
}

// §3.2, state machine safety: all machines apply the same entry at the same index. Now and then only some entries are
// taken.
void Cluster::ApplyBatches(uint64_t id, const std::vector<BatchRef>& batches) {
  Node& node = nodes_.at(id);
  Claim(!batches.empty(), "there was something to apply");
  for (const BatchRef& batch : batches) {
    for (const LogEntry& entry : batch) {
      Claim(entry.index == node.applied + 1, "entries are applied in order, each once");
      std::string told = std::to_string(entry.term.value()) + " " + std::string(entry.command);
      if (entry.index.value() > applied_.size()) {
        applied_.push_back(told);
      } else {
        Claim(applied_[entry.index.value() - 1] == told, "two machines applied different entries at one index");
      }
      Claim(entry.index <= node.core->commit_index(), "only what is committed is applied");
      if (options_.durable_machine) {
        Claim(entry.index <= node.disk.history().last_index(), "a durable machine is given only what is durable");
      }
      node.applied = entry.index;
      if (options_.durable_machine) node.machine = entry.index;
      if (Draw(50) == 0) {
        node.core->OnApplied(node.applied);
        return;
      }
    }
  }
  node.core->OnApplied(node.applied);
}

// --- what must hold in the whole cluster ---

void Cluster::Observe(uint64_t id) {
  Node& node = nodes_.at(id);
  ObserveCommit(id);
  if (!node.core->is_leader() || node.led_term == node.core->term()) return;
  Term term = node.core->term();
  node.led_term = term;
  // §3.2, election safety.
  auto [leader, is_new] = leader_of_term_.try_emplace(term, id);
  Claim(leader->second == id, "a term has two leaders");
  Claim(is_new, "a server led a term twice");
  // §3.2, leader completeness: what was committed in earlier terms is in its log.
  for (size_t i = 0; i < committed_.size(); ++i) {
    if (committed_[i].by >= term) continue;
    Claim(node.core->TermAt(Index(i + 1)) == committed_[i].term, "a leader lacks a committed entry");
  }
  Heartbeat(id, term);
}

void Cluster::ObserveCommit(uint64_t id) {
  Node& node = nodes_.at(id);
  const Index commit = node.core->commit_index();
  if (commit <= committed()) {
    if (commit)
      Claim(node.core->TermAt(commit) == committed_[commit.value() - 1].term, "two different entries are committed");
    return;
  }
  const bool has_removed_itself = node.led_term == node.core->term() && !node.core->configuration().IsVoter(NodeId(id));
  Claim(node.core->is_leader() || has_removed_itself, "only a leader is the first to know that an entry is committed");
  const Term term = node.core->TermAt(commit);
  Claim(term == node.core->term(), "only entries of the leader's term are committed by counting");
  // The promise of the whole: what is called committed is on the disks of a majority.
  auto has = [&](const Member& voter) { return disk(voter.id.value()).history().Match(commit, term); };
  Claim(HasQuorum(node.core->configuration(), has), "an entry was committed that is not durable on a majority");
  for (Index index = committed() + 1; index <= commit; ++index) {
    committed_.push_back(Committed{node.core->TermAt(index), node.core->term()});
  }
}

// §3.2, log matching: the same term at an index means the same logs up to there.
void Cluster::CheckLogMatching() const {
  for (const auto& [id, a] : nodes_) {
    for (const auto& [other, b] : nodes_) {
      if (id >= other) continue;
      bool must_match = false;
      Index last = std::min(a.disk.history().last_index(), b.disk.history().last_index());
      for (Index index = last; index > Index(0); index = index - 1) {
        bool matches = a.disk.history().TermAt(index) == b.disk.history().TermAt(index);
        Claim(matches || !must_match, "logs that match at an index differ before it");
        must_match = must_match || matches;
      }
    }
  }
}

uint64_t Cluster::Leader() const {
  uint64_t leader = 0;
  Term term;
  for (const auto& [id, node] : nodes_) {
    if (node.core == nullptr || !node.core->is_leader() || node.core->term() <= term) continue;
    leader = id;
    term = node.core->term();
  }
  return leader;
}

Term Cluster::newest_term() const {
  Term newest;
  for (const auto& [id, node] : nodes_) {
    if (node.core != nullptr) newest = std::max(newest, node.core->term());
  }
  return newest;
}

bool Cluster::Propose(uint64_t id) {
  if (!IsUp(id) || !core(id).is_leader() || core(id).IsTransferring()) return false;
  BatchBuilder builder;
  uint64_t count = 1 + Draw(3);
  for (uint64_t i = 0; i < count; ++i) builder.Add(LogEntryType::kCommand, "command " + std::to_string(++proposals_));
  core(id).Propose(builder, 0);
  Pump(id);
  return true;
}

Result<void> Cluster::Transfer(uint64_t id, uint64_t to) {
  auto begun = core(id).TransferLeadership(now_, NodeId(to), now_ + 300 * kMs);
  Pump(id);
  return begun;
}

Result<ConfigTicket> Cluster::ChangeConfig(uint64_t id, std::vector<Peer> added, std::vector<NodeId> removed) {
  auto ticket = core(id).ProposeConfig(Change(added, removed));
  Pump(id);
  return ticket;
}

bool Cluster::IsSettled() {
  uint64_t leader = Leader();
  if (leader == 0) return false;
  const Configuration& configuration = core(leader).configuration();
  if (configuration.is_joint() || !configuration.Contains(NodeId(leader))) return false;
  const Index last = core(leader).last_index();
  for (const Peer& peer : configuration.Members()) {
    uint64_t id = peer.id.value();
    if (!IsUp(id) || core(id).applied_index() != last || core(id).term() != core(leader).term()) return false;
    if (disk(id).history().runs() != disk(leader).history().runs()) return false;
  }
  for (const PeerStatus& status : core(leader).PeerStatuses(now_)) {
    if (status.match_index != last || status.inflight_bytes != 0) return false;
  }
  return true;
}

}  // namespace ringraft::core
