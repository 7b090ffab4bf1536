#include "cluster.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace ringraft::core {
namespace {

constexpr uint64_t kMostEvents = 10'000;  // per second of virtual time, which usually has some hundreds

// doctest's macros are slow in places that run millions of times.
void Claim(bool holds, const char* what) {
  if (!holds) FAIL(std::string(what));
}

}  // namespace

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)), random_(options_.seed * 0x9e3779b97f4a7c15u + 1) {
  apply_bytes_ = 500;
  durable_machine_ = options_.durable_machine;
  Configuration first;
  for (uint64_t id = 1; id <= options_.initial; ++id) first.voters.push_back(MakePeer(id));
  for (uint64_t id = 1; id <= options_.servers; ++id) {
    Node& node = nodes_[id];
    Add(id, node);
    if (id <= options_.initial) {
      Write bootstrap;
      bootstrap.batches.push_back(ConfigurationBatch(1, 1, first, 1));
      REQUIRE(node.disk.Commit(bootstrap) == "");
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
  Claim(last_event_ < (seconds + 10) * kMostEvents, "the cluster sends messages without end");
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

void Cluster::CutAllBut(const Links& links) {
  for (uint64_t a = 1; a <= servers(); ++a) {
    for (uint64_t b = a + 1; b <= servers(); ++b) {
      if (!links.contains({a, b})) CutBoth(a, b);
    }
  }
}

void Cluster::Isolate(uint64_t id) {
  for (uint64_t other = 1; other <= servers(); ++other) {
    if (other != id) CutBoth(other, id);
  }
}

// The message arrives late, twice, or never.
void Cluster::Send(Message message) {
  auto chance = [&](double probability) { return static_cast<double>(Draw(1000)) < probability * 1000; };
  int copies = chance(options_.repeat) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Duration delay = RandomDelay();
    if (chance(options_.drop) || !nodes_.contains(message.to)) continue;
    events_.emplace(std::pair(now_ + delay, ++last_event_), [this, message] {
      if (cut_.contains({message.from, message.to}) || !IsUp(message.to)) return;
      Receive(message);
      if (IsUp(message.to)) Pump(message.to);
    });
  }
}

void Cluster::Receive(const Message& message) {
  if (IsReply(message.kind)) {
    if (nodes_.at(message.to).life == message.call->life) ReceiveReply(message);
  } else if (IsVote(message.kind)) {
    ReceiveVoteRequest(message);
  } else {
    auto received = ReceiveAppend(message);
    Claim(received.has_value(), "a correct append was refused as malformed");
  }
}

// --- starts and crashes ---

void Cluster::Start(uint64_t id) {
  Node& node = nodes_.at(id);
  REQUIRE(!node.IsUp());
  CoreOptions options = TestOptions(id);
  options.seed = options_.seed + (node.life + 1) * 1000;
  options.is_restart = node.life > 0;
  options.catch_up_rounds = 10;
  options.peer_window_calls = 4;
  options.peer_window_bytes = 2000;
  options.max_append_bytes = 600;
  options.cached_tail_bytes = 1500;
  if (options_.adjust) options_.adjust(options);
  REQUIRE(node.Start(options, durable_machine_ ? node.machine : Index(0), now_) == "");
  oracle_.OnStart(id);
  node.led_term = Term(0);
  node.tick = TimePoint::max();
  node.probing.clear();
  Pump(id);
}

// Any number of the unfinished writes may have reached the disk, in order.
void Cluster::Crash(uint64_t id) {
  Node& node = nodes_.at(id);
  REQUIRE(node.IsUp());
  node.Crash(Draw(node.writing.size() + 1));
}

// --- what src/node does ---

void Cluster::Pump(uint64_t id) {
  Node& node = nodes_.at(id);
  Observe(id);
  const bool was_writing = !node.writing.empty();
  node.TakeWrites(now_);
  if (!was_writing && !node.writing.empty()) StartWrite(id);
  if (auto round = node->NextVoteRound()) SendVoteRequests(id, *round, "requests votes");
  if (node->is_leader()) {
    for (const PeerStatus& status : node->PeerStatuses(now_)) {
      if (!status.is_self) SendAppends(id, status.peer.id.value());
    }
    if (auto timeout_now = node->NextTimeoutNow(now_)) SendTimedAppend(id, *timeout_now);
  }
  // Now and then a group is applied only in part.
  ApplyCommitted(id, [this](const LogEntry&) { return Draw(50) != 0; });
  TimePoint due = node->NextTick();
  if (due < node.tick || node.tick <= now_) {
    node.tick = due;
    if (due != TimePoint::max()) {
      At(due, id, [this, id] {
        Node& ticking = nodes_.at(id);
        ticking.tick = TimePoint::max();
        if (ticking->NextTick() <= now_) ticking->OnTick(now_);
      });
    }
  }
  node->CheckInvariants();
  CheckRules();
}

void Cluster::StartWrite(uint64_t id) {
  auto range = static_cast<uint64_t>(options_.most_write_time.count());
  Duration time(static_cast<int64_t>(Draw(range) * (Draw(30) == 0 ? 30 : 1)));
  At(now_ + time, id, [this, id] { FinishWrite(id); });
}

// Group commit: several writes may end together, and only the last is reported.
void Cluster::FinishWrite(uint64_t id) {
  Node& node = nodes_.at(id);
  std::vector<DrivenCore::Gated> released = node.FinishWrites(now_, 1 + Draw(node.writing.size()));
  if (!node.writing.empty()) StartWrite(id);
  Observe(id);
  for (DrivenCore::Gated& gated : released) gated.action();
}

void Cluster::SendAppends(uint64_t id, uint64_t peer) {
  Node& node = nodes_.at(id);
  if (node.probing.contains(peer)) return;
  while (true) {
    NextAppendResult next = node->NextAppend(NodeId(peer), now_);
    if (auto* request = std::get_if<AppendRequest>(&next)) {
      SendTimedAppend(id, *request);
      continue;
    }
    if (auto* read = std::get_if<ReadRequest>(&next)) {
      At(now_ + RandomDelay(), id, [this, id, peer, read = *read] {
        std::vector<BatchRef> batches;
        if (Draw(10) != 0) batches = driven(id).disk.Read(read.from, read.max_bytes);
        core(id).OnRead(NodeId(peer), std::move(batches));
      });
    }
    return;
  }
}

// A call without a reply in time fails.
void Cluster::SendTimedAppend(uint64_t id, const AppendRequest& request) {
  std::shared_ptr<Call> call = SendAppend(id, request);
  if (call->kind == MessageKind::kHeartbeat) return;
  At(now_ + options_.call_timeout, id, [this, id, call] {
    if (call->has_ended) return;
    core(id).OnAppendFailed(call->append);
    nodes_.at(id).probing.insert(call->to);
    At(now_ + 20 * kMs, id, [this, id, to = call->to] { nodes_.at(id).probing.erase(to); });
  });
}

void Cluster::Heartbeat(uint64_t id, Term term) {
  if (!core(id).is_leader() || core(id).term() != term) return;
  for (const PeerStatus& status : core(id).PeerStatuses(now_)) {
    if (status.is_self) continue;
    auto heartbeat = core(id).NextHeartbeat(status.peer.id, now_);
    Claim(heartbeat.has_value(), "a leader has no heartbeat for a member");
    SendTimedAppend(id, *heartbeat);
  }
  At(now_ + 50 * kMs, id, [this, id, term] { Heartbeat(id, term); });
}

// --- rules ---

// A new leader begins its heartbeats.
void Cluster::Observe(uint64_t id) {
  Node& node = nodes_.at(id);
  oracle_.OnEvent(id, cores_);
  CheckRules();
  const Term term = node->term();
  if (!node->is_leader() || node.led_term == term) return;
  node.led_term = term;
  Heartbeat(id, term);
}

void Cluster::CheckRules() const {
  if (!oracle_.violation().empty()) FAIL(oracle_.violation());
  for (const auto& [id, node] : nodes_) {
    if (!node.problem.empty()) FAIL(node.problem);
  }
}

void Cluster::CheckLogMatching() {
  oracle_.CheckLogMatching(cores_);
  CheckRules();
}

uint64_t Cluster::Leader() const {
  uint64_t leader = 0;
  Term term;
  for (const auto& [id, node] : nodes_) {
    if (!node.IsUp() || !node->is_leader() || node->term() <= term) continue;
    leader = id;
    term = node->term();
  }
  return leader;
}

Term Cluster::newest_term() const {
  Term newest;
  for (const auto& [id, node] : nodes_) {
    if (node.IsUp()) newest = std::max(newest, node->term());
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

Result<ConfigTicket> Cluster::ChangeConfig(uint64_t id, const std::vector<Peer>& added,
                                           const std::vector<NodeId>& removed) {
  auto ticket = core(id).ProposeConfig(Change(added, removed));
  Pump(id);
  return ticket;
}

}  // namespace ringraft::core
