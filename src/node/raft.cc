// The public API: Raft and its awaitables.
#include "ringraft/raft.h"

#include "base/assert.h"
#include "base/try.h"
#include "node/node.h"

namespace ringraft {

// --- calls ---

bool Call::await_suspend(std::coroutine_handle<> caller) { return calls_.Begin(*this, caller); }

bool TransferLeadershipCall::await_suspend(std::coroutine_handle<> caller) {
  return calls_.BeginTransfer(*this, to_, caller);
}

bool ChangeConfigCall::await_suspend(std::coroutine_handle<> caller) {
  return calls_.BeginConfig(*this, std::move(change_), caller);
}

bool AbortConfigChangeCall::await_suspend(std::coroutine_handle<> caller) {
  return calls_.BeginAbortConfig(*this, caller);
}

bool DoneCall::await_suspend(std::coroutine_handle<> caller) { return calls_.BeginDone(*this, caller); }

bool NextEventCall::await_ready() const noexcept { return queue_->IsReady(); }

bool NextEventCall::await_suspend(std::coroutine_handle<> caller) {
  return calls_.BeginNextEvent(*this, *queue_, caller);
}

Call::~Call() {
  on_stop_.reset();
  if (slot_ != nullptr) slot_->Abandon(generation_);  // destroyed while suspended
}

Error Call::Finish() {
  on_stop_.reset();
  if (slot_ == nullptr) return refused_;
  Error error = slot_->error;
  if (error.code() != Errc::kOk) Release();
  return error;
}

void Call::Release() {
  if (node::CallSlot* slot = std::exchange(slot_, nullptr)) slot->Release();
}

void Call::OnStopRequest::operator()() const noexcept { slot->RequestCancel(generation); }

Result<Bytes> HandleOneCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  Bytes result = std::move(slot_->result);
  Release();
  return result;
}

Result<std::vector<Bytes>> HandleManyCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  std::vector<Bytes> results;
  if (slot_ == nullptr) {  // no commands
    if (!calls_.is_open()) return Errc::kStopped;
    return results;
  }
  if (slot_->count == 1) {
    results.push_back(std::move(slot_->result));
  } else {
    results = std::move(slot_->results);
  }
  Release();
  return results;
}

Result<void> ChangeConfigCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  if (slot_ == nullptr && !calls_.is_open()) return Errc::kStopped;  // an empty change
  Release();
  return Success();
}

Result<void> AbortConfigChangeCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  Release();
  return Success();
}

Result<void> TransferLeadershipCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  Release();
  return Success();
}

Result<void> DoneCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;  // why it stopped by itself
  Release();
  return Success();
}

Result<Event> NextEventCall::await_resume() {
  if (Error error = Finish(); error.code() != Errc::kOk) return error;
  Release();
  std::optional<Event> event = queue_->Take();
  if (!event) return Errc::kStopped;
  return std::move(*event);
}

EventStream& EventStream::operator=(EventStream&& other) noexcept {
  Close();
  calls_ = other.calls_;
  queue_ = std::move(other.queue_);
  return *this;
}

EventStream::~EventStream() { Close(); }

void EventStream::Close() {
  if (queue_ != nullptr) queue_->Close();
}

// --- Raft ---

namespace {

Result<std::unique_ptr<node::Node>> MakeNode(Options options, StateMachine* machine, AsyncStateMachine* async_machine) {
  RINGRAFT_TRYV(options.Validate());
  node::Node::Parts parts;
  parts.machine = machine;
  parts.async_machine = async_machine;
  parts.storage = options.storage;
  if (parts.storage == nullptr) {
    options.lmdb.group = options.group;
    RINGRAFT_TRY(opened, OpenLmdbStorage(options.data_dir, options.lmdb));
    parts.storage = std::move(opened);
  }
  options.storage.reset();  // the node's is the only reference: it is released when the node has stopped
  RINGRAFT_TRY(recovered, parts.storage->Recover());
  parts.recovered = std::move(recovered);
  RINGRAFT_TRY(claim, node::ClaimStorage(options, *parts.storage, parts.recovered));
  parts.claim = std::move(claim);
  RINGRAFT_TRYV(node::BootstrapAlone(options, parts.claim.identity, *parts.storage, parts.recovered));
  RINGRAFT_TRYV(core::Core::CheckRecovered(parts.recovered));
  return std::make_unique<node::Node>(std::move(options), std::move(parts));
}

}  // namespace

Raft::Raft(std::unique_ptr<node::Node> node) : node_(std::move(node)), calls_(node_->calls()) {}

Result<std::unique_ptr<Raft>> Raft::Create(Options options, StateMachine& state_machine) {
  RINGRAFT_TRY(node, MakeNode(std::move(options), &state_machine, nullptr));
  return std::unique_ptr<Raft>(new Raft(std::move(node)));
}

Result<std::unique_ptr<Raft>> Raft::Create(Options options, AsyncStateMachine& state_machine) {
  RINGRAFT_TRY(node, MakeNode(std::move(options), nullptr, &state_machine));
  return std::unique_ptr<Raft>(new Raft(std::move(node)));
}

Raft::~Raft() { node_->WaitStopped(); }

NodeId Raft::Id() const { return node_->options().id; }
const Addr& Raft::Addr() const { return node_->options().addr; }
Result<void> Raft::Run(Reactor& reactor) { return node_->Run(reactor); }
void Raft::Stop() { node_->Stop(); }
bool Raft::IsLeader() const { return node_->IsLeader(); }
EventStream Raft::Events() { return EventStream(calls_, node_->events().Open()); }
RaftStatus Raft::Status() const { return node_->Status(); }

}  // namespace ringraft
