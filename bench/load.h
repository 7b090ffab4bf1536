// The load: closed-loop clients that `co_await raft.Handle(...)` in the leader's process, and what they measure.
//
// Per command a client reads the clock once and adds to a histogram; nothing is allocated after the start. A client
// that gets an error ends, and so does one whose result does not go up: the run has failed then, and says why.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "histogram.h"
#include "options.h"
#include "ringraft/raft.h"

namespace ringraft::bench {

struct LoadStats {
  static constexpr size_t kErrorKinds = 32;

  Histogram latency;      // of calls, ns
  uint64_t commands = 0;  // acknowledged
  double ops_per_s = 0;
  std::array<uint64_t, kErrorKinds> errors{};           // of calls, by Errc
  std::array<std::string, kErrorKinds> first_messages;  // of each kind

  uint64_t ErrorCount() const;
};

// Where a share of the clients runs: one thread, the reactor's or one of its own.
class Shard;

class Load {
 public:
  // `raft` must run on `reactor`, and both must outlive this.
  Load(Raft& raft, Reactor& reactor, const LoadSpec& spec);
  // The clients must have ended (`End`), or the node and the reactor have stopped.
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // From a thread that is none of the load's:
  void Start();
  // Forgets what has been measured so far, but no error.
  Result<void> Restart();
  Result<LoadStats> Read();
  // No new calls. True once every client has its last answer; waits for that up to `max_wait`.
  bool End(Duration max_wait);
  bool HasEnded() const { return active_.load(std::memory_order_acquire) == 0; }

 private:
  friend class Shard;
  std::atomic<size_t> active_{0};  // clients that have not ended
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace ringraft::bench
