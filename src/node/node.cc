#include "node/node.h"

#include <fmt/format.h>

#include <cstring>

#include "base/assert.h"
#include "base/duration.h"
#include "storage/storage_thread.h"

namespace ringraft::node {
Node::Node(Options options, Parts parts)
    : options_(std::move(options)),
      logger_(options_.logger != nullptr ? options_.logger : &StderrLogger()),
      storage_(std::move(parts.storage)),
      recovered_(std::move(parts.recovered)),
      identity_(parts.claim.identity),
      written_members_(std::move(parts.claim.members)),
      starts_(std::move(parts.claim.starts)),
      machine_(parts.machine),
      async_machine_(parts.async_machine),
      slots_(SlotPool::New(options_.limits.max_waiting_calls)),
      events_(options_.on_event) {
  status_.id = options_.id;
  status_.term = recovered_.hard_state.term;
  status_.last_index = recovered_.last_index;
}

Node::~Node() { slots_->Orphan(); }

std::string Node::Name() const { return fmt::format("node {}", options_.id.value()); }

// --- life ---

Result<void> Node::Run(Reactor& reactor) {
  {
    std::lock_guard lock(mutex_);
    if (is_done_) return Errc::kStopped;
    if (reactor_ != nullptr) return Errc::kRanRepeatedly;
    reactor_ = &reactor;
  }
  host_ = &reactor.host();
  rpc_ = options_.make_rpc ? options_.make_rpc(reactor) : MakeCapnpRpc(reactor, options_.rpc);
  if (Result<void> listening = rpc_->Listen(options_.addr); !listening) {
    reactor.Post([rpc = std::shared_ptr<Rpc>(std::move(rpc_))] {});  // ends where it lived
    std::lock_guard lock(mutex_);
    reactor_ = nullptr;  // the caller may try again, or destroy the node
    return listening;
  }
  // A `Stop`, also one of our own because serving fails, comes before all of this or behind it.
  std::lock_guard lock(mutex_);
  if (life_.load(std::memory_order_relaxed) != Life::kNew) {
    rpc_.reset();
    return Errc::kStopped;
  }
  // In this order: a call that sees kRunning arrives behind the start message.
  host_->mailbox().Post(start_message_);
  slots_->OpenPosts();
  life_.store(Life::kRunning, std::memory_order_release);
  return Success();
}

void Node::StartOnReactor() {
  core::CoreOptions core_options;
  core_options.self = options_.id;
  core_options.incarnation = identity_.incarnation;
  core_options.is_witness = options_.is_witness;
  core_options.bootstraps = !options_.initial_members.empty();
  core_options.group = options_.group;
  core_options.election_timeout_min = options_.election_timeout_min;
  core_options.election_timeout_max = options_.election_timeout_max;
  core_options.heartbeat_interval = options_.heartbeat_interval;
  core_options.disk_stall_limit = DiskStallLimit();
  core_options.priority = options_.election_priority;
  core_options.peer_window_bytes = options_.limits.peer_window_bytes;
  core_options.peer_window_calls = options_.limits.peer_window_calls;
  core_options.max_append_bytes = options_.limits.max_batch_bytes;
  core_options.cached_tail_bytes = options_.limits.cached_tail_bytes;
  core_options.tell_commit_when_idle = false;  // the next append or heartbeat does, for nothing
  core_options.wall_clock_offset_ns =
      WallNanoseconds() - std::chrono::duration_cast<std::chrono::nanoseconds>(loop().Now().time_since_epoch()).count();
  core_options.is_restart = identity_.start_count > 1;
  core_options.seed = options_.seed != 0 ? options_.seed : host_->RandomSeed();
  Index applied = machine_ != nullptr ? machine_->AppliedIndex() : async_machine_->AppliedIndex();
  core_ = std::make_unique<core::Core>(core_options, recovered_, applied, loop().Now());
  recovered_ = RecoveredLog();

  durable_ = std::make_unique<coro::Signal>(loop());
  leader_moved_ = std::make_unique<coro::Signal>(loop());
  tick_moved_ = std::make_unique<coro::Signal>(loop());
  scope_ = std::make_unique<coro::Scope>(loop());
  shutdown_ = std::make_unique<coro::Scope>(loop());
  proposer_ = std::make_unique<Proposer>(*core_, options_.limits, *this);
  deadlines_ = std::make_unique<Deadlines>(loop(), *this);
  forwarder_ = std::make_unique<Forwarder>(*this);
  applier_ = std::make_unique<Applier>(*this, machine_, async_machine_);
  service_ = std::make_unique<Service>(*this);
  auto on_persisted = [this](uint64_t number, Result<void> result) { OnPersisted(number, std::move(result)); };
  if (auto* hosted = dynamic_cast<storage::HostedStorage*>(storage_.get())) {
    commit_queue_ = hosted->MakeQueue(std::move(on_persisted));
  } else {
    commit_queue_ = std::make_unique<storage::StorageThread>(*storage_, host_->mailbox(), std::move(on_persisted));
  }

  logger_->Write(LogLevel::kInfo,
                 fmt::format("{}: starts at {} in cluster {}, term {}, last index {}, start {}", Name(),
                             options_.addr.text(), ToString(identity_.cluster), core_->term().value(),
                             core_->last_index().value(), identity_.start_count));
  rpc_->Register(*service_, [this] { return identity_; });
  if (Result<void> serving = rpc_->Serve(); !serving) return Fail(serving.error());
  scope_->Start(Begin());
  scope_->Start(applier_->Run());
  scope_->Start(forwarder_->Run());
  Touch();
}

void Node::Stop() {
  {
    std::lock_guard lock(mutex_);
    Life life = life_.load(std::memory_order_relaxed);
    if (life == Life::kRunning) {
      life_.store(Life::kStopping, std::memory_order_release);
      slots_->ClosePosts();
      host_->mailbox().Post(stop_message_);
    }
    if (life != Life::kNew) return;
    life_.store(Life::kStopped, std::memory_order_release);
  }
  FinishStop();  // it never ran
}

void Node::StopAtOnce() {
  Stop();
  std::lock_guard lock(mutex_);
  // Delivered before what posts the end of the stop, so the node is there.
  if (life_.load(std::memory_order_relaxed) != Life::kStopping || is_stop_urgent_) return;
  is_stop_urgent_ = true;
  host_->mailbox().Post(stop_at_once_message_);
}

void Node::Fail(Error error) {
  if (failure_.code() == Errc::kOk) {
    failure_ = error;
    logger_->Write(LogLevel::kError, fmt::format("{}: stops: {}", Name(), error.message()));
  }
  StopAtOnce();
}

void Node::OnStopAsked() {
  if (!is_stopping_ && !BeginHandOver()) BeginStop();
}

// §3.10: so that a planned stop costs a round trip or two, not an election time-out.
bool Node::BeginHandOver() {
  {
    std::lock_guard lock(mutex_);
    if (is_stop_urgent_) return false;
  }
  const TimePoint deadline = loop().Now() + options_.election_timeout_max;
  if (!core_->IsTransferring()) {
    const NodeId to = core_->BestSuccessor(loop().Now());
    if (!to || !core_->TransferLeadership(loop().Now(), to, deadline)) return false;
    logger_->Write(LogLevel::kInfo, fmt::format("{}: hands the leadership over to node {}", Name(), to.value()));
    Touch();
  }
  scope_->Start(AwaitSuccessor(deadline));
  return true;
}

// The successor's first message also says that our answers to it have arrived.
Task<void> Node::AwaitSuccessor(TimePoint deadline) {
  while ((core_->is_leader() || !core_->leader()) && loop().Now() < deadline) {
    auto moved = leader_moved_->WaitUntil(deadline);
    co_await moved;
  }
  StopAtOnce();
}

void Node::BeginStop() {
  if (is_stopping_) return;
  RINGRAFT_ASSERT(core_ != nullptr);  // the start message was posted first
  {
    std::lock_guard lock(mutex_);
    is_stop_urgent_ = true;
  }
  is_stopping_ = true;
  is_leader_.store(false, std::memory_order_release);
  leadership_.reset();
  scope_->Cancel();
  proposer_->OnStop();
  forwarder_->OnStop();
  std::vector<ConfigCall> config_calls;
  config_calls.swap(config_calls_);
  for (const ConfigCall& call : config_calls) {
    const bool has_begun = core_->CheckConfig(call.ticket) != core::ConfigProgress::kCatchingUp;
    EndCall(*call.slot, call.generation, has_begun ? Errc::kUnknown : Errc::kStopped);
  }
  if (transfer_call_) EndCall(*transfer_call_->slot, transfer_call_->generation, Errc::kUnknown);
  transfer_call_.reset();
  rpc_->Close();
  shutdown_->Start(Shutdown());
}

// What has been handed to the disk is finished first: durability cannot be cancelled.
Task<void> Node::Shutdown() {
  auto finishing = host_->RunBlocking([this] { commit_queue_.reset(); });
  co_await finishing;
  while (slots_->HasPosts()) {
    auto later = loop().SleepUntil(loop().Now() + std::chrono::milliseconds(1));
    co_await later;
  }
  // Calls that arrived in between were ended on arrival.
  rpc_.reset();
  service_.reset();
  deadlines_.reset();
  auto closing = host_->RunBlocking([this] { storage_.reset(); });
  co_await closing;
  PublishStatus();
  life_.store(Life::kStopped, std::memory_order_release);
  logger_->Write(LogLevel::kInfo, fmt::format("{}: stopped", Name()));
  reactor_->Post([this] { FinishStop(); });
}

// Runs outside every coroutine of the node. Once the lock is released the node may be destroyed, by another thread or
// by the first of the callers below.
void Node::FinishStop() {
  std::vector<std::pair<CallSlot*, uint32_t>> calls;
  Error reason = failure_;
  events_.End(status_, reason);
  {
    std::lock_guard lock(mutex_);
    is_done_ = true;
    status_.is_stopped = true;
    status_.stop_reason = reason;
    calls.swap(done_calls_);
    stopped_.notify_all();
  }
  for (auto& [slot, generation] : calls) {
    slot->error = reason;
    slot->Complete(generation);
  }
}

void Node::WaitStopped() {
  StopAtOnce();
  std::unique_lock lock(mutex_);
  while (!is_done_) {
    // Inside a turn nobody could finish the stop: stop first, await Done, and destroy the node then.
    RINGRAFT_ASSERT(!reactor_->IsInTurn());
    if (reactor_->IsDriven()) {
      stopped_.wait_for(lock, std::chrono::milliseconds(10));
      continue;
    }
    lock.unlock();
    reactor_->RunOnce(std::chrono::milliseconds(10));
    lock.lock();
  }
}

// --- once a turn ---

void Node::OnTurnEnd() {
  if (is_stopping_) return;
  CheckConfigCalls();  // before the role: a leader outside C(new) steps down with the commit that ends the change
  FollowRole();
  FollowDisk();
  FollowHandOver();
  CheckTransferCall();
  if (core_->is_leader() && !core_->IsTransferring()) proposer_->Flush(WallNanoseconds());
  SubmitWrites();
  if (leadership_ != nullptr) leadership_->Wake();
  applier_->Wake();
  StartVoteRounds();
  if (core_->NextTick() < next_tick_) tick_moved_->Notify();
  PublishStatus();
  events_.Follow(status_);  // read without its mutex: only turns write it
}

void Node::SubmitWrites() {
  while (core_->HasWrite()) {
    core::Write write = core_->NextWrite(loop().Now());
    storage::WriteRequest request;
    request.number = write.number;
    request.hard_state = write.hard_state;
    request.truncate_after = write.truncate_after;
    request.batches = std::move(write.batches);
    request.values = std::exchange(values_, {});
    commit_queue_->Submit(std::move(request));
  }
}

void Node::OnPersisted(core::WriteNumber number, Result<void> result) {
  if (is_stopping_) return;
  if (!result) return Fail(result.error());
  core_->OnPersisted(loop().Now(), number);
  durable_->Notify();
  Touch();
}

void Node::FollowRole() {
  Role role = core_->role();
  Term term = core_->term();
  if (leadership_ != nullptr && (role != Role::kLeader || leadership_->term() != term)) {
    leadership_.reset();
    logger_->Write(LogLevel::kInfo, fmt::format("{}: leads no more; term {}", Name(), term.value()));
    EndLeadersCalls();
  } else if (role != Role::kLeader && proposer_->HasWaiting()) {
    EndLeadersCalls();  // it was elected and deposed within one turn, and took calls in between
  }
  const bool was_leader = is_leader_.exchange(role == Role::kLeader, std::memory_order_acq_rel);
  if (was_leader != (role == Role::kLeader) || core_->leader() != last_leader_) leader_moved_->Notify();
  if (role == Role::kLeader && leadership_ == nullptr) {
    logger_->Write(LogLevel::kInfo, fmt::format("{}: leads term {}", Name(), term.value()));
    leadership_ = std::make_unique<Leadership>(*this, term);
  }
  if (leadership_ != nullptr && core_->peers_version() != last_peers_) leadership_->FollowConfiguration();
  last_peers_ = core_->peers_version();
  if (core_->leader() != last_leader_) {
    last_leader_ = core_->leader();
    if (last_leader_ && last_leader_ != options_.id)
      logger_->Write(LogLevel::kInfo,
                     fmt::format("{}: follows node {} in term {}", Name(), last_leader_.value(), term.value()));
    forwarder_->Wake();
  }
}

Duration Node::DiskStallLimit() const {
  return options_.disk_stall_limit != Duration::zero() ? options_.disk_stall_limit : options_.election_timeout_max;
}

// Says so when the disk stalls, and when it is well again.
void Node::FollowDisk() {
  const bool is_stalled = core_->is_disk_stalled();
  if (is_stalled == is_disk_stalled_) return;
  is_disk_stalled_ = is_stalled;
  if (!is_stalled) {
    logger_->Write(LogLevel::kInfo, fmt::format("{}: its disk is well again", Name()));
    return;
  }
  std::string what = "does not stand for election until it is well";
  if (const std::optional<NodeId> to = core_->successor()) {
    what = fmt::format("hands the leadership over to node {}", to->value());
  } else if (core_->is_leader()) {
    what = "hands the leadership over as soon as another node can take it";
  }
  logger_->Write(
      LogLevel::kWarning,
      fmt::format("{}: its disk is stalled: a write has taken {} ms, more than the {} ms of disk_stall_limit; {}",
                  Name(), Milliseconds(core_->disk_latency(loop().Now())), Milliseconds(DiskStallLimit()), what));
}

// Says so when the leadership goes where nobody has asked for it to go.
void Node::FollowHandOver() {
  const bool is_yielding = core_->IsYielding();
  if (is_yielding && !is_yielding_)
    logger_->Write(LogLevel::kInfo, fmt::format("{}: hands the leadership over to node {}, which has a higher priority",
                                                Name(), core_->successor()->value()));
  is_yielding_ = is_yielding;
}

void Node::EndLeadersCalls() {
  proposer_->OnLeadershipLost();
  std::vector<ConfigCall> calls;
  calls.swap(config_calls_);
  for (const ConfigCall& call : calls) EndCall(*call.slot, call.generation, Errc::kUnknown);
}

void Node::CheckConfigCalls() {
  for (size_t i = 0; i < config_calls_.size();) {
    ConfigCall call = config_calls_[i];
    core::ConfigProgress progress = core_->CheckConfig(call.ticket);
    const bool is_over = !call.slot->IsAwaited(call.generation);
    if (progress == core::ConfigProgress::kCatchingUp && is_over) {
      // Nobody waits for it any more, and it has not begun.
      const Result<void> aborted =
          core_->AbortConfig(Error(Errc::kChangeAborted,
                                   "nobody waited for the change any more while its new voters caught up: nothing has "
                                   "changed; ask for it again if it is still wanted"));
      RINGRAFT_ASSERT(aborted.has_value());
      progress = core::ConfigProgress::kRefused;
    }
    if (progress == core::ConfigProgress::kPending || progress == core::ConfigProgress::kCatchingUp) {
      ++i;
      continue;
    }
    config_calls_.erase(config_calls_.begin() + static_cast<ptrdiff_t>(i));
    if (progress == core::ConfigProgress::kDone) {
      call.slot->Complete(call.generation);
    } else {
      EndCall(*call.slot, call.generation,
              progress == core::ConfigProgress::kRefused ? call.ticket->refusal : Error(Errc::kUnknown));
    }
  }
}

void Node::CheckTransferCall() {
  if (!transfer_call_ || (core_->is_leader() && core_->IsTransferring())) return;
  if (!core_->is_leader() && !core_->leader()) return;  // it has been given up; who has it is not known yet
  const TransferCall call = *std::exchange(transfer_call_, std::nullopt);
  if (core_->leader() == call.to) {
    call.slot->Complete(call.generation);
    return;
  }
  EndCall(*call.slot, call.generation,
          Error(Errc::kTransferFailed,
                core_->is_leader()
                    ? fmt::format("node {} did not take the leadership over in time; this node leads on: see whether "
                                  "that node runs, is caught up, and has a disk that is not stalled ('status')",
                                  call.to.value())
                    : fmt::format("node {} has the leadership now, not node {}", core_->leader().value(),
                                  call.to.value())));
}

void Node::PublishStatus() {
  std::lock_guard lock(mutex_);
  status_.role = core_->role();
  status_.term = core_->term();
  status_.leader = Leader();
  status_.last_index = core_->last_index();
  status_.durable_index = core_->durable_index();
  status_.commit_index = core_->commit_index();
  status_.applied_index = core_->applied_index();
  status_.configuration_index = core_->configuration_index();
  status_.is_joint = core_->configuration().is_joint();
  core_->FillPeerStatuses(loop().Now(), status_.peers);
  status_.is_disk_stalled = core_->is_disk_stalled();
  status_.disk_latency = core_->disk_latency(loop().Now());
  status_.waiting_calls = slots_->in_use();
  status_.waiting_bytes = proposer_->waiting_bytes();
}

RaftStatus Node::Status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

int64_t Node::WallNanoseconds() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(host_->loop().WallNow().time_since_epoch()).count();
}

// --- for the coroutines ---

Task<void> Node::Durable(core::WriteNumber number) {
  while (core_->persisted() < number) {
    auto woken = durable_->Wait();
    co_await woken;
  }
}

Task<Result<std::vector<BatchRef>>> Node::ReadLog(Index from, size_t max_bytes) {
  // On the heap, and with its own hold on the storage: the work goes on if this coroutine is dropped.
  auto answer = std::make_shared<Result<std::vector<BatchRef>>>(std::vector<BatchRef>());
  auto storage = storage_;
  auto reading = host_->RunBlocking([answer, storage, from, max_bytes] { *answer = storage->Read(from, max_bytes); });
  co_await reading;
  if (*answer && answer->value().empty())
    co_return Error(
        Errc::kCorrupt,
        fmt::format("the log has no entry at index {}, which it should have; restore this node from its peers",
                    from.value()));
  co_return std::move(*answer);
}

std::optional<Peer> Node::Leader() const {
  if (!core_->leader()) return std::nullopt;
  if (core_->leader() == options_.id) return Peer(options_.id, options_.addr);
  const Peer* peer = core_->configuration().Find(core_->leader());
  return peer != nullptr ? std::optional<Peer>(*peer) : std::nullopt;
}

}  // namespace ringraft::node
