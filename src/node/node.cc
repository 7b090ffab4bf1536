#include "node/node.h"

#include <utility>

#include "base/assert.h"
#include "base/duration.h"
#include "base/format.h"
#include "node/applier.h"
#include "node/bootstrap.h"
#include "node/elector.h"
#include "node/forwarder.h"
#include "node/leadership.h"
#include "node/operator_service.h"
#include "node/peer_service.h"
#include "node/storage_driver.h"

namespace ringraft::node {
namespace {

int64_t WallNanoseconds(const coro::Loop& loop) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(loop.WallNow().time_since_epoch()).count();
}

Duration DiskStallLimit(const Options& options) {
  return options.disk_stall_limit != Duration::zero() ? options.disk_stall_limit : options.election_timeout_max;
}

RpcOptions MakeRpcOptions(const Options& options) {
  RpcOptions rpc = options.rpc;
  if (rpc.control_timeout == Duration::zero()) rpc.control_timeout = options.election_timeout_max;
  return rpc;
}

core::CoreOptions MakeCoreOptions(const Options& options, const Identity& identity, reactor::Host& host) {
  const coro::Loop& loop = host.loop();
  core::CoreOptions core_options;
  core_options.self = options.id;
  core_options.incarnation = identity.incarnation;
  core_options.is_witness = options.is_witness;
  core_options.bootstraps = !options.initial_members.empty();
  core_options.group = options.group;
  core_options.election_timeout_min = options.election_timeout_min;
  core_options.election_timeout_max = options.election_timeout_max;
  core_options.heartbeat_interval = options.heartbeat_interval;
  core_options.disk_stall_limit = DiskStallLimit(options);
  core_options.priority = options.election_priority;
  core_options.peer_window_bytes = options.limits.peer_window_bytes;
  core_options.peer_window_calls = options.limits.peer_window_calls;
  core_options.max_append_bytes = options.limits.max_batch_bytes;
  core_options.cached_tail_bytes = options.limits.cached_tail_bytes;
  core_options.tell_commit_when_idle = false;  // the next append or heartbeat does, for nothing
  core_options.wall_clock_offset_ns =
      WallNanoseconds(loop) -
      std::chrono::duration_cast<std::chrono::nanoseconds>(loop.Now().time_since_epoch()).count();
  core_options.is_restart = identity.start_count > 1;
  core_options.seed = options.seed != 0 ? options.seed : host.RandomSeed();
  return core_options;
}

}  // namespace

Node::Node(Options options, Parts parts)
    : options_(std::move(options)),
      log_(options_.logger != nullptr ? *options_.logger : StderrLogger(), options_.id),
      parts_(std::move(parts)),
      calls_(options_, stopped_),
      events_(options_.on_event) {
  status_.Update([this](RaftStatus& status) {
    status.id = options_.id;
    status.term = parts_.recovered.hard_state.term;
    status.last_index = parts_.recovered.last_index;
  });
}

Node::~Node() = default;

// --- start ---

Result<void> Node::Run(Reactor& reactor) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_.is_open()) return Errc::kStopped;
    if (reactor_ != nullptr) return Errc::kRanRepeatedly;
    reactor_ = &reactor;
  }
  host_ = &reactor.host();
  rpc_ = options_.make_rpc ? options_.make_rpc(reactor) : MakeCapnpRpc(reactor, MakeRpcOptions(options_));
  if (Result<void> listening = rpc_->Listen(options_.addr); !listening) {
    reactor.Post([rpc = std::shared_ptr<Rpc>(std::move(rpc_))] {});  // ends where it lived
    std::lock_guard lock(mutex_);
    reactor_ = nullptr;  // the caller may retry, or destroy the node
    return listening;
  }
  // A `Stop`, also one of this node's own because serving fails, comes before all of this or after it.
  std::lock_guard lock(mutex_);
  if (life_ != Life::kNew) {
    rpc_.reset();
    return Errc::kStopped;
  }
  // In this order: the reactor may run the start message at once, and a call that sees the calls open arrives after it.
  calls_.SetHost(*host_);
  host_->mailbox().Post(start_message_);
  calls_.Open();
  life_ = Life::kRunning;
  return Success();
}

void Node::StartOnReactor() {
  StartParts();
  const Identity& self = peers_->self();
  log_.Info(fmt::format("starts at {} in cluster {}, term {}, last index {}, start {}", options_.addr,
                        ToString(self.cluster), core_->term(), core_->last_index(), self.start_count));
  rpc_->Register(*peer_service_, [this] { return peers_->self(); });
  if (Result<void> serving = rpc_->Serve(); !serving) return Fail(serving.error());
  scope_->Start(StartUp());
  scope_->Start(applier_->Run());
  scope_->Start(forwarder_->Run());
  Touch();
}

void Node::StartParts() {
  coro::Loop& loop = host_->loop();
  NodeControl& control = *this;
  Parts from = std::exchange(parts_, Parts());
  const core::CoreOptions core_options = MakeCoreOptions(options_, from.claim.identity, *host_);
  const Index applied = from.machine != nullptr ? from.machine->AppliedIndex() : from.async_machine->AppliedIndex();
  core_ = std::make_unique<core::Core>(core_options, from.recovered, applied, loop.Now());
  shutdown_ = std::make_unique<coro::Scope>(loop);
  scope_ = std::make_unique<coro::Scope>(loop);
  leader_moved_ = std::make_unique<coro::Signal>(loop);
  storage_ = std::make_unique<StorageDriver>(std::move(from.storage), *host_, *core_, control);
  peers_ = std::make_unique<PeerVerifier>(options_, from.claim.identity, std::move(from.claim.starts), *storage_, log_);
  proposer_ = std::make_unique<Proposer>(*core_, options_.limits, calls_, control);
  forwarder_ =
      std::make_unique<Forwarder>(Forwarder::Parts{options_, loop, *core_, *rpc_, *proposer_, *scope_, calls_});
  calls_.Start({*core_, *proposer_, *forwarder_, control, log_});
  applier_ = std::make_unique<Applier>(
      Applier::Parts{from.machine, from.async_machine, options_, loop, *core_, *storage_, *proposer_, control, log_});
  elector_ = std::make_unique<Elector>(loop, *core_, *rpc_, *storage_, *scope_, control);
  bootstrap_ = std::make_unique<Bootstrap>(
      Bootstrap::Parts{options_, loop, *core_, *rpc_, *storage_, *peers_, *scope_, control, log_},
      std::move(from.claim.members));
  operator_service_ = std::make_unique<OperatorService>(
      OperatorService::Parts{options_, loop, calls_, *peers_, status_, control, log_});
  peer_service_ = std::make_unique<PeerService>(PeerService::Parts{
      options_, loop, *core_, *storage_, *peers_, *bootstrap_, calls_, *operator_service_, control, log_});
}

// Elections start once this node is known not to run on a copy of its directory.
Task<void> Node::StartUp() {
  auto looking = bootstrap_->FindDuplicate();
  co_await looking;
  if (failure_.code() != Errc::kOk) co_return;
  bootstrap_->Start();
  auto elections = elector_->Run();
  co_await elections;
}

// --- once a turn ---

// Carries out what the core has decided during the turn, so that all of it becomes one batch, one write and one message
// a peer. The alternative, to write and send within each event, was given up: under load it makes a write of each
// command, and a caller that is resumed inline finds the node in the middle of a step. The cost: the first event of a
// turn waits for the last, and each step has to find out by itself what has changed, also when nothing has.
//
// The order matters:
void Node::OnTurnEnd() {
  if (is_stopping_) return;
  // Before the role: a leader outside C(new) steps down with the commit that ends its change, and the call succeeds.
  calls_.leader_calls().CheckConfig();
  // Before proposing and sending: the calls of a lost leadership end unproposed, and a new one gets its pipelines.
  FollowRole();
  // After the role: its log line explains these.
  LogDisk();
  LogYielding();
  // After the role, which decides how a transfer has ended; before proposing, as the caller may come back with
  // commands.
  calls_.leader_calls().CheckTransfer();
  // Before the write, which takes this batch along.
  if (core_->is_leader() && !core_->IsTransferring()) proposer_->Flush(WallNanoseconds(host_->loop()));
  // Before sending: the disk, the slowest of all, begins first, and works while the peers do (§10.2.1).
  storage_->SubmitWrites();
  // For latency only: coroutines run in the order of waking. A commit waits for the peers, and applying for a commit.
  if (leadership_ != nullptr) leadership_->Wake();
  applier_->Wake();
  // After the write, which is the gate of a vote round.
  elector_->Wake();
  // Last: it shows all of the above.
  PublishStatus();
  events_.Follow(status_.latest());
}

void Node::FollowRole() {
  Role role = core_->role();
  Term term = core_->term();
  if (leadership_ != nullptr && (role != Role::kLeader || leadership_->term() != term)) {
    leadership_.reset();
    log_.Info(fmt::format("is no longer the leader; term {}", term));
    calls_.OnLeadershipLost();
  } else if (role != Role::kLeader && proposer_->HasWaiting()) {
    calls_.OnLeadershipLost();  // it was elected and deposed within one turn, and took calls in between
  }
  const bool was_leader = status_.SetLeader(role == Role::kLeader);
  if (was_leader != (role == Role::kLeader) || core_->leader() != last_leader_) leader_moved_->Notify();
  if (role == Role::kLeader && leadership_ == nullptr) {
    log_.Info(fmt::format("leads term {}", term));
    leadership_ = std::make_unique<Leadership>(
        Leadership::Parts{options_, host_->loop(), *core_, *rpc_, *storage_, *peers_, *this, log_}, term);
  }
  if (leadership_ != nullptr && core_->peers_version() != last_peers_) leadership_->FollowConfiguration();
  last_peers_ = core_->peers_version();
  if (core_->leader() != last_leader_) {
    last_leader_ = core_->leader();
    if (last_leader_ && last_leader_ != options_.id)
      log_.Info(fmt::format("follows node {} in term {}", last_leader_, term));
    forwarder_->Wake();
  }
}

// Logs when the disk stalls, and when it has recovered.
void Node::LogDisk() {
  const bool is_stalled = core_->is_disk_stalled();
  if (is_stalled == is_disk_stalled_) return;
  is_disk_stalled_ = is_stalled;
  if (!is_stalled) return log_.Info("its disk has recovered");
  std::string what = "does not campaign until it has recovered";
  if (const std::optional<NodeId> to = core_->successor()) {
    what = fmt::format("transfers leadership to node {}", *to);
  } else if (core_->is_leader()) {
    what = "transfers leadership as soon as another node can take it";
  }
  log_.Warning(fmt::format("its disk is stalled: a write has taken {} ms, more than the {} ms of disk_stall_limit; {}",
                           Milliseconds(core_->disk_latency(host_->loop().Now())),
                           Milliseconds(DiskStallLimit(options_)), what));
}

// Logs when the leadership is transferred without a request.
void Node::LogYielding() {
  const bool is_yielding = core_->IsYielding();
  if (is_yielding && !is_yielding_)
    log_.Info(fmt::format("transfers leadership to node {}, which has a higher priority", *core_->successor()));
  is_yielding_ = is_yielding;
}

void Node::PublishStatus() {
  status_.Update([this](RaftStatus& status) {
    const TimePoint now = host_->loop().Now();
    status.role = core_->role();
    status.term = core_->term();
    status.leader = calls_.Leader();
    status.last_index = core_->last_index();
    status.durable_index = core_->durable_index();
    status.commit_index = core_->commit_index();
    status.applied_index = core_->applied_index();
    status.configuration_index = core_->configuration_index();
    status.is_joint = core_->configuration().is_joint();
    core_->FillPeerStatuses(now, status.peers);
    status.is_disk_stalled = core_->is_disk_stalled();
    status.disk_latency = core_->disk_latency(now);
    status.waiting_calls = calls_.in_use();
    status.waiting_bytes = proposer_->waiting_bytes();
  });
}

// --- stop ---

void Node::Stop() {
  {
    std::lock_guard lock(mutex_);
    const Life life = life_;
    if (life == Life::kRunning) {
      life_ = Life::kStopping;
      calls_.Close();
      host_->mailbox().Post(stop_message_);
    }
    if (life != Life::kNew) return;
    life_ = Life::kStopped;
  }
  FinishStop();  // it never ran
}

void Node::StopAtOnce() {
  Stop();
  std::lock_guard lock(mutex_);
  // Delivered before what posts the end of the stop, so the node is there.
  if (life_ != Life::kStopping || is_stop_urgent_) return;
  is_stop_urgent_ = true;
  host_->mailbox().Post(stop_at_once_message_);
}

void Node::Fail(Error error) {
  if (failure_.code() == Errc::kOk) {
    failure_ = error;
    log_.Error(fmt::format("stops: {}", error.message()));
  }
  StopAtOnce();
}

void Node::OnStopRequested() {
  if (!is_stopping_ && !MaybeTransferLeadership()) StopParts();
}

// §3.10: so that a planned stop costs a round trip or two, not an election timeout. True if the stop waits for it.
bool Node::MaybeTransferLeadership() {
  {
    std::lock_guard lock(mutex_);
    if (is_stop_urgent_) return false;
  }
  const TimePoint now = host_->loop().Now();
  const TimePoint deadline = now + options_.election_timeout_max;
  if (!core_->IsTransferring()) {
    const NodeId to = core_->BestSuccessor(now);
    if (!to || !core_->TransferLeadership(now, to, deadline)) return false;
    log_.Info(fmt::format("transfers leadership to node {}", to));
    Touch();
  }
  scope_->Start(AwaitSuccessor(deadline));
  return true;
}

// The successor's first message also shows that this node's replies to it have arrived.
Task<void> Node::AwaitSuccessor(TimePoint deadline) {
  while ((core_->is_leader() || !core_->leader()) && host_->loop().Now() < deadline) {
    auto moved = leader_moved_->WaitUntil(deadline);
    co_await moved;
  }
  StopAtOnce();
}

void Node::StopParts() {
  if (is_stopping_) return;
  RINGRAFT_ASSERT(core_ != nullptr);  // the start message was posted first
  {
    std::lock_guard lock(mutex_);
    is_stop_urgent_ = true;
  }
  is_stopping_ = true;
  status_.SetLeader(false);
  storage_->Close();
  leadership_.reset();
  scope_->Cancel();
  calls_.OnStop();
  rpc_->Close();
  shutdown_->Start(Shutdown());
}

Task<void> Node::Shutdown() {
  auto finishing = storage_->FinishWrites();
  co_await finishing;
  while (calls_.HasPosts()) {
    auto later = host_->loop().SleepUntil(host_->loop().Now() + std::chrono::milliseconds(1));
    co_await later;
  }
  // Calls that arrived in between were ended on arrival.
  rpc_.reset();
  calls_.Finish();
  auto releasing = storage_->ReleaseStorage();
  co_await releasing;
  PublishStatus();
  {
    std::lock_guard lock(mutex_);
    life_ = Life::kStopped;
  }
  log_.Info("stopped");
  reactor_->Post([this] { FinishStop(); });
}

// Runs outside every coroutine of the node. The node may be destroyed as soon as the latch is open.
void Node::FinishStop() {
  events_.End(status_.latest(), failure_);
  status_.Update([this](RaftStatus& status) {
    status.is_stopped = true;
    status.stop_reason = failure_;
  });
  stopped_.Open(failure_);
}

void Node::WaitStopped() {
  StopAtOnce();
  while (!stopped_.is_open()) {
    // Inside a turn nothing could finish the stop: stop first, await Done, and destroy the node then.
    RINGRAFT_ASSERT(!reactor_->IsInTurn());
    if (reactor_->IsDriven()) {
      stopped_.WaitFor(std::chrono::milliseconds(10));
    } else {
      reactor_->RunOnce(std::chrono::milliseconds(10));
    }
  }
}

}  // namespace ringraft::node
