// The place of one call (Handle, ChangeConfig, Done) between its caller and the node. Pooled: no allocation per call.
//
// The state of a slot says which side may touch it; each change of sides is one compare-and-swap on `state`, which also
// carries the slot's generation, so that a stale reference (a timer, a queue entry, an executor's item) is recognized.
//
//            Acquire                 Complete (node)              Resume (reactor or executor)
//     kFree ---------> kPending ------------------------> kReady --------------------------> kResumed --> kFree
//                         |                                  |  \                              (caller's Release)
//       caller destroyed  |                 caller destroyed |   \ executor drops it
//                         v                                  v    v
//                    kAbandoned                  kAbandonedReady   kDropped
//               (the node frees it)    (the resumption frees it)  (the caller's destructor frees it)
//
// In kPending and kAbandoned the node owns the contents; from kReady on the caller does.
#pragma once

#include <array>
#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/list.h"
#include "reactor/host.h"
#include "ringraft/bytes.h"
#include "ringraft/config_change.h"
#include "ringraft/errc.h"
#include "ringraft/executor.h"
#include "ringraft/types.h"

namespace ringraft::node {

class Calls;
class SlotPool;

enum class SlotState : uint8_t { kFree, kPending, kAbandoned, kReady, kAbandonedReady, kDropped, kResumed };

enum class CallKind : uint8_t { kCommands, kChangeConfig, kAbortConfig, kTransfer };

struct CallSlot final : reactor::MailboxNode, base::ListHook {  // the hook is the deadline wheel's
  // A stop request on its way to the reactor; it holds a reference on the slot.
  struct CancelNode final : reactor::MailboxNode {
    void OnDelivered() override;
    CallSlot* slot = nullptr;
    uint32_t generation = 0;
  };

  void OnDelivered() override;  // the call has reached the reactor

  uint32_t generation() const { return static_cast<uint32_t>(state.load(std::memory_order_acquire) >> 8); }
  // The slot is still that of the call of this generation, and with the node.
  bool IsWithNode(uint32_t of_generation) const;
  bool IsAwaited(uint32_t of_generation) const;  // also: and its caller lives

  // Node: the outcome is in `error` and `results`; gives the slot to its caller, which may run inline. False if no
  // caller waits; the slot must not be touched then, as it may be free.
  bool Complete(uint32_t of_generation);
  // Caller: it is destroyed while it is suspended.
  void Abandon(uint32_t of_generation);
  // Reactor or executor: runs the caller, or frees the slot of one that has been destroyed.
  void Resume(uint32_t of_generation);
  // An executor will never run the resumption.
  void DropResumption(uint32_t of_generation);
  // Caller: done with the results.
  void Release();
  // Any thread, while the caller lives: sends the cancel node, once.
  void RequestCancel(uint32_t of_generation);

  std::atomic<uint64_t> state{0};  // generation << 8 | SlotState
  std::atomic<uint32_t> references{0};
  std::atomic<uint32_t> next_free{0};
  std::atomic<bool> cancel_requested{false};
  uint32_t number = 0;  // its own, in the pool
  SlotPool* pool = nullptr;
  Calls* calls = nullptr;

  // Written by the caller before the slot is posted.
  std::coroutine_handle<> caller;
  Executor* executor = nullptr;
  TimePoint deadline = TimePoint::max();
  bool forward = false;
  CallKind kind = CallKind::kCommands;
  uint32_t count = 0;                    // commands
  std::string encoded;                   // the commands as entries of a batch
  std::unique_ptr<ConfigChange> config;  // of kChangeConfig
  NodeId transfer_to;                    // of kTransfer; 0: to the best one
  CancelNode cancel;

  // Reactor only.
  bool arrived = false;
  bool is_out = false;  // it may be in a log: with the proposer, or in a message to the leader

  // The outcome.
  Error error;
  Bytes result;                // of one command
  std::vector<Bytes> results;  // of several

 private:
  bool Move(uint32_t of_generation, SlotState from, SlotState to);
  void Unreference();
};

// All slots of a node; outlives it until the last slot has come back.
class SlotPool {
 public:
  static SlotPool* New(size_t most);
  void Orphan();  // the node is gone

  CallSlot* Acquire(Calls& calls);  // kPending; null at the limit. Any thread, lock-free once warm.
  void Free(CallSlot& slot);        // any thread

  // Brackets around a post to the reactor: the node and the mailbox outlive what is between them. One post ends twice:
  // when it has been delivered, and when the poster has left the mailbox. They belong to the pool because a stop
  // request may come after the node is gone, while the slot of its call still waits in an executor's queue.
  void OpenPosts() { accepts_posts_.store(true, std::memory_order_seq_cst); }
  void ClosePosts() { accepts_posts_.store(false, std::memory_order_seq_cst); }
  bool accepts_posts() const { return accepts_posts_.load(std::memory_order_seq_cst); }
  bool BeginPost();  // false if the node does not run; otherwise two EndPost follow
  void EndPost() { posts_.fetch_sub(1, std::memory_order_seq_cst); }
  bool HasPosts() const { return posts_.load(std::memory_order_seq_cst) > 0; }

  size_t in_use() const { return static_cast<size_t>(in_use_.load(std::memory_order_relaxed) - 1); }

 private:
  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kChunks = 65536;

  explicit SlotPool(size_t most);
  ~SlotPool();
  CallSlot& At(uint32_t number) { return chunks_[number / kChunk].load(std::memory_order_acquire)[number % kChunk]; }
  CallSlot* Pop();
  void Push(CallSlot& slot);
  bool Grow();
  void Unreference();

  const size_t most_;
  std::atomic<bool> accepts_posts_{false};
  std::atomic<int64_t> posts_{0};       // ends still to come
  std::atomic<int64_t> in_use_{1};      // slots outside the free list, and one for the node
  std::atomic<uint64_t> free_head_{0};  // tag << 32 | number + 1 of the first free slot
  std::atomic<uint32_t> chunk_count_{0};
  std::atomic_flag growing_;
  std::unique_ptr<std::atomic<CallSlot*>[]> chunks_;
};

}  // namespace ringraft::node
