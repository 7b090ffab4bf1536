#include "counters.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace ringraft::bench {
namespace {

constexpr size_t kSize = sizeof(NodeCounters) * kMaxNodes;

Error Failed(const char* what) { return Error(Errc::kIo, std::string(what) + ": " + std::strerror(errno)); }

Result<NodeCounters*> Map(int fd) {
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return Failed("mapping the counters");
  return static_cast<NodeCounters*>(memory);
}

class CountingStorage final : public Storage {
 public:
  CountingStorage(std::shared_ptr<Storage> storage, NodeCounters& counters)
      : storage_(std::move(storage)), counters_(counters) {}

  Result<RecoveredLog> Recover() override { return storage_->Recover(); }

  Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                      std::span<const BatchRef> batches) override {
    return CommitEarly(hard_state, truncate_after, batches, [] {});
  }
  Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                           std::span<const BatchRef> batches, const OnDurable& on_durable) override {
    size_t bytes = 0;
    for (const BatchRef& batch : batches) bytes += batch.size();
    const TimePoint start = Clock::now();
    return storage_->CommitEarly(hard_state, truncate_after, batches, [&] {
      const Duration took = Clock::now() - start;
      counters_.commits.fetch_add(1, std::memory_order_relaxed);
      counters_.batches.fetch_add(batches.size(), std::memory_order_relaxed);
      counters_.batch_bytes.fetch_add(bytes, std::memory_order_relaxed);
      counters_.commit_ns.fetch_add(static_cast<uint64_t>(took.count()), std::memory_order_relaxed);
      on_durable();
    });
  }

  Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const override {
    return storage_->Read(from, max_bytes);
  }
  ringraft::Log& Log() override { return storage_->Log(); }
  ringraft::Store& Store() override { return storage_->Store(); }

 private:
  std::shared_ptr<Storage> storage_;
  NodeCounters& counters_;
};

}  // namespace

Result<std::unique_ptr<SharedCounters>> SharedCounters::Create() {
  const int fd = memfd_create("ringraft-bench-counters", 0);  // inherited by the nodes
  if (fd < 0) return Failed("memfd_create");
  if (ftruncate(fd, kSize) != 0) {
    Error error = Failed("sizing the counters");
    close(fd);
    return error;
  }
  Result<std::unique_ptr<SharedCounters>> counters = Open(fd);
  if (!counters) {
    close(fd);
    return counters;
  }
  for (size_t i = 0; i < kMaxNodes; ++i) new (&counters.value()->nodes_[i]) NodeCounters();
  return counters;
}

Result<std::unique_ptr<SharedCounters>> SharedCounters::Open(int fd) {
  Result<NodeCounters*> nodes = Map(fd);
  if (!nodes) return nodes.error();
  return std::unique_ptr<SharedCounters>(new SharedCounters(fd, nodes.value()));
}

SharedCounters::~SharedCounters() {
  munmap(static_cast<void*>(nodes_), kSize);
  close(fd_);
}

std::shared_ptr<Storage> CountCommits(std::shared_ptr<Storage> storage, NodeCounters& counters) {
  return std::make_shared<CountingStorage>(std::move(storage), counters);
}

}  // namespace ringraft::bench
