// Where a caller of `Raft::Handle` resumes when it does not want to resume inline on the reactor.
#pragma once

#include <cstdint>
#include <utility>

namespace ringraft {

namespace node {
struct CallSlot;
}

// The right to resume one suspended caller, once. Call it on the thread where the caller shall go on. If the
// caller has been destroyed in the meantime the call does nothing, so it may be kept in any queue for any time;
// destroying it without calling it leaves the caller suspended for ever (its owner must then destroy it).
// Destroying the caller must not run at the same time as this call: do both on one thread, or under one lock.
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

// Implemented by the user: an event loop, a thread pool, a queue. One `Resumption` is 16 bytes.
class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `resumption()` later or at once. Called on the reactor's thread; must not block or throw.
  virtual void Post(Resumption resumption) noexcept = 0;
};

}  // namespace ringraft
