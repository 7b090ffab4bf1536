#include "node/call_slot.h"

#include <thread>

#include "base/assert.h"
#include "node/calls.h"

namespace ringraft {

Resumption::~Resumption() {
  if (slot_ != nullptr) slot_->DropResumption(generation_);
}

void Resumption::operator()() {
  if (node::CallSlot* slot = std::exchange(slot_, nullptr)) slot->Resume(generation_);
}

}  // namespace ringraft

namespace ringraft::node {
namespace {

// What a slot keeps of its buffers between calls, so that one large call does not cost memory forever.
constexpr size_t kKeptBytes = 16384;

constexpr uint64_t Pack(uint32_t generation, SlotState state) {
  return uint64_t{generation} << 8 | static_cast<uint64_t>(state);
}

}  // namespace

bool CallSlot::Move(uint32_t of_generation, SlotState from, SlotState to) {
  uint64_t expected = Pack(of_generation, from);
  return state.compare_exchange_strong(expected, Pack(of_generation, to), std::memory_order_acq_rel);
}

bool CallSlot::IsWithNode(uint32_t of_generation) const {
  uint64_t now = state.load(std::memory_order_acquire);
  return now == Pack(of_generation, SlotState::kPending) || now == Pack(of_generation, SlotState::kAbandoned);
}

bool CallSlot::IsAwaited(uint32_t of_generation) const {
  return state.load(std::memory_order_acquire) == Pack(of_generation, SlotState::kPending);
}

bool CallSlot::Complete(uint32_t of_generation) {
  if (!IsWithNode(of_generation)) return false;  // it ended earlier, by its deadline or a stop request
  base::ListHook::Unlink();
  Executor* on = executor;  // from kReady on the slot is the caller's
  if (Move(of_generation, SlotState::kPending, SlotState::kReady)) {
    Resumption resumption(this, of_generation);
    if (on != nullptr) {
      on->Post(std::move(resumption));
    } else {
      resumption();
    }
    return true;
  }
  RINGRAFT_ASSERT(Move(of_generation, SlotState::kAbandoned, SlotState::kResumed));
  Unreference();
  return false;
}

void CallSlot::Abandon(uint32_t of_generation) {
  for (;;) {
    if (Move(of_generation, SlotState::kPending, SlotState::kAbandoned)) return;
    if (Move(of_generation, SlotState::kReady, SlotState::kAbandonedReady)) return;
    if (Move(of_generation, SlotState::kDropped, SlotState::kResumed)) return Unreference();
    // Between two of the attempts above it went from kPending to kReady, or from kReady to kDropped: again.
    auto now = static_cast<SlotState>(state.load(std::memory_order_acquire) & 0xff);
    RINGRAFT_ASSERT(now == SlotState::kReady || now == SlotState::kDropped);
  }
}

void CallSlot::Resume(uint32_t of_generation) {
  if (Move(of_generation, SlotState::kReady, SlotState::kResumed)) {
    caller.resume();
    return;
  }
  RINGRAFT_ASSERT(Move(of_generation, SlotState::kAbandonedReady, SlotState::kResumed));
  Unreference();
}

void CallSlot::DropResumption(uint32_t of_generation) {
  if (Move(of_generation, SlotState::kReady, SlotState::kDropped)) return;
  RINGRAFT_ASSERT(Move(of_generation, SlotState::kAbandonedReady, SlotState::kResumed));
  Unreference();
}

void CallSlot::Release() { Unreference(); }

void CallSlot::RequestCancel(uint32_t of_generation) {
  // The destructor of the caller's stop_callback waits for this function, so the slot is still this call's.
  if (cancel_requested.exchange(true, std::memory_order_acq_rel)) return;
  if (!pool->BeginPost()) return;  // stopping: every call ends anyway; or gone
  references.fetch_add(1, std::memory_order_relaxed);
  cancel.slot = this;
  cancel.generation = of_generation;
  SlotPool& posted_through = *pool;
  calls->mailbox().Post(cancel);
  posted_through.EndPost();
}

void CallSlot::CancelNode::OnDelivered() {
  slot->pool->EndPost();
  // A call that has not arrived yet ends on its arrival, which checks cancel_requested.
  if (slot->arrived && slot->IsAwaited(generation)) slot->calls->OnCancel(*slot, generation);
  slot->Unreference();
}

void CallSlot::OnDelivered() {
  pool->EndPost();
  calls->OnCallArrived(*this);
}

void CallSlot::Unreference() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) pool->Free(*this);
}

// --- the pool ---

SlotPool* SlotPool::New(size_t most) { return new SlotPool(most); }

SlotPool::SlotPool(size_t most) : most_(most), chunks_(new std::atomic<CallSlot*>[kChunks]()) {}

SlotPool::~SlotPool() {
  for (uint32_t i = 0; i < chunk_count_.load(); ++i) delete[] chunks_[i].load();
}

bool SlotPool::BeginPost() {
  posts_.fetch_add(2, std::memory_order_seq_cst);
  if (accepts_posts_.load(std::memory_order_seq_cst)) return true;
  posts_.fetch_sub(2, std::memory_order_seq_cst);
  return false;
}

void SlotPool::Orphan() { Unreference(); }

void SlotPool::Unreference() {
  if (in_use_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

CallSlot* SlotPool::Acquire(Calls& calls) {
  if (static_cast<size_t>(in_use_.fetch_add(1, std::memory_order_acq_rel)) > most_) {
    Unreference();
    return nullptr;
  }
  CallSlot* slot = Pop();
  while (slot == nullptr) {
    if (!Grow()) {
      Unreference();
      return nullptr;
    }
    slot = Pop();
  }
  slot->pool = this;
  slot->calls = &calls;
  slot->arrived = false;
  slot->is_out = false;
  slot->kind = CallKind::kCommands;
  slot->error = Error();
  slot->cancel_requested.store(false, std::memory_order_relaxed);
  slot->references.store(1, std::memory_order_relaxed);
  slot->state.store(Pack(slot->generation(), SlotState::kPending), std::memory_order_release);
  return slot;
}

void SlotPool::Free(CallSlot& slot) {
  if (slot.encoded.capacity() > kKeptBytes) std::string().swap(slot.encoded);
  if (slot.result.size() > kKeptBytes) slot.result = Bytes();
  slot.results.clear();
  slot.config.reset();
  slot.caller = nullptr;
  slot.state.store(Pack(slot.generation() + 1, SlotState::kFree), std::memory_order_release);
  Push(slot);
  Unreference();
}

// A stack of numbers. Its head carries a tag, so that a slot that was popped and pushed in between is noticed. Chunks
// are never freed while the pool lives, so reading next_free of a slot that has just been taken is harmless.
CallSlot* SlotPool::Pop() {
  uint64_t head = free_head_.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(head) != 0) {
    CallSlot& slot = At(static_cast<uint32_t>(head) - 1);
    uint64_t next = ((head >> 32) + 1) << 32 | slot.next_free.load(std::memory_order_relaxed);
    if (free_head_.compare_exchange_weak(head, next, std::memory_order_acq_rel)) return &slot;
  }
  return nullptr;
}

void SlotPool::Push(CallSlot& slot) {
  uint64_t head = free_head_.load(std::memory_order_relaxed), next;
  do {
    slot.next_free.store(static_cast<uint32_t>(head), std::memory_order_relaxed);
    next = ((head >> 32) + 1) << 32 | (slot.number + 1);
  } while (!free_head_.compare_exchange_weak(head, next, std::memory_order_acq_rel));
}

bool SlotPool::Grow() {
  if (growing_.test_and_set(std::memory_order_acquire)) {
    std::this_thread::yield();  // another thread adds a chunk; the caller retries
    return true;
  }
  uint32_t chunk = chunk_count_.load(std::memory_order_relaxed);
  bool has_room = chunk < kChunks;
  if (has_room) {
    CallSlot* slots = new CallSlot[kChunk];
    chunks_[chunk].store(slots, std::memory_order_release);
    chunk_count_.store(chunk + 1, std::memory_order_release);
    for (uint32_t i = kChunk; i-- > 0;) {
      slots[i].number = chunk * kChunk + i;
      Push(slots[i]);
    }
  }
  growing_.clear(std::memory_order_release);
  return has_room;
}

}  // namespace ringraft::node
