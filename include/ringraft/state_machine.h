// What a service implements: the deterministic state machine to which committed commands are applied.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "ringraft/bytes.h"
#include "ringraft/errc.h"
#include "ringraft/task.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// Receives one result for each applied entry, in the order of the entries.
class ApplyResults {
 public:
  // Adds the result of the next entry; the bytes are copied. Reactor thread only.
  void Add(std::string_view result);
  size_t size() const { return size_; }

  // For the runtime and for tests of state machines.
  Bytes& operator[](size_t i) { return values_[i]; }
  void Clear() { size_ = 0; }

 private:
  std::vector<Bytes> values_;  // keeps its buffers between batches
  size_t size_ = 0;
};

// Called on the reactor's thread only, never concurrently, with committed command entries in log order. No-op and
// configuration entries are left out, so indexes may jump. Must not block: a blocked reactor stops all its nodes. Must
// outlive the node.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Applies a prefix of `entries`, adds one result for each applied entry, and returns how many it applied; it is
  // called again with the rest. After 0 or an error the node logs it and retries with backoff (10 ms doubling to 1 s).
  // The commands live until the call returns.
  virtual Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) = 0;

  // A machine that survives restarts returns true from `IsDurable` and its last durably applied index from
  // `AppliedIndex`; it receives only entries that are durable on its own node. A volatile machine is replayed from the
  // first entry at each start. Both are called once, when the node starts.
  virtual bool IsDurable() const { return false; }
  virtual Index AppliedIndex() const { return Index(0); }
};

// The same, as a coroutine that may wait. The entries live until the task has finished. Stopping the node destroys a
// suspended task: `Apply` must tolerate that at every `co_await`.
class AsyncStateMachine {
 public:
  virtual ~AsyncStateMachine() = default;
  virtual Task<Result<size_t>> Apply(std::span<const LogEntry> entries, ApplyResults& results) = 0;
  virtual bool IsDurable() const { return false; }
  virtual Index AppliedIndex() const { return Index(0); }
};

}  // namespace ringraft
