// What a node's process counts about its disk, where the process that reports can see it: one slot a node, in memory
// that all processes of a local cluster share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ringraft/errc.h"
#include "ringraft/storage.h"

namespace ringraft::bench {

constexpr size_t kMaxNodes = 7;

// Written by one process, read by another.
struct alignas(64) NodeCounters {
  std::atomic<uint64_t> commits{0};      // calls of Storage::Commit
  std::atomic<uint64_t> batches{0};      // in them
  std::atomic<uint64_t> batch_bytes{0};  // encoded
  std::atomic<uint64_t> commit_ns{0};    // time inside Storage::Commit
  std::atomic<uint64_t> flushes{0};      // system calls that wait for the disk, of any thread
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// The slots of all nodes. It lives in an anonymous file, which a child finds by its descriptor. Unmapped by the
// destructor.
class SharedCounters {
 public:
  // Makes the file; its descriptor survives exec.
  static Result<std::unique_ptr<SharedCounters>> Create();
  // Takes the descriptor that a parent made.
  static Result<std::unique_ptr<SharedCounters>> Open(int fd);
  ~SharedCounters();
  SharedCounters(const SharedCounters&) = delete;
  SharedCounters& operator=(const SharedCounters&) = delete;

  int fd() const { return fd_; }
  NodeCounters& ForNode(NodeId id) { return nodes_[id.value() - 1]; }  // 1 <= id <= kMaxNodes

 private:
  SharedCounters(int fd, NodeCounters* nodes) : fd_(fd), nodes_(nodes) {}
  int fd_;
  NodeCounters* nodes_;
};

// Passes everything on to `storage` and counts what is committed. `counters` must outlive it.
std::shared_ptr<Storage> CountCommits(std::shared_ptr<Storage> storage, NodeCounters& counters);

// From here on, flush_probe.cc counts this process's flushes into `counters`, which must live as long as the process.
void CountFlushesInto(NodeCounters& counters);

}  // namespace ringraft::bench
