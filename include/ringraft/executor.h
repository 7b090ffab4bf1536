// Where a caller of `Raft::Handle` is resumed if not inline on the reactor's thread.
#pragma once

#include <cstdint>
#include <utility>

#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

namespace node {
struct CallSlot;
}

// Resumes one suspended caller, once: call it on the thread on which the caller is to continue. It does nothing if the
// caller has been destroyed in the meantime, so it may stay in any queue for any time. If it is destroyed without
// having been called, the caller stays suspended forever, and its owner must destroy it. The caller must not be
// destroyed on another thread during the call: do both on one thread, or under one lock.
class Resumption {
 public:
  Resumption(node::CallSlot* slot, uint32_t generation) : slot_(slot), generation_(generation) {}
  Resumption(Resumption&& other) noexcept
      : slot_(std::exchange(other.slot_, nullptr)), generation_(other.generation_) {}
  Resumption& operator=(Resumption&& other) noexcept {
    std::swap(slot_, other.slot_);
    std::swap(generation_, other.generation_);
    return *this;
  }
  ~Resumption();

  void operator()();

 private:
  node::CallSlot* slot_;
  uint32_t generation_;
};

// Implemented by the user: an event loop, a thread pool, a queue. A `Resumption` has 16 bytes.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `resumption()`, at once or later, on any thread. Called on the reactor's thread; must not block or throw.
  virtual void Post(Resumption resumption) noexcept = 0;
};

}  // namespace ringraft
