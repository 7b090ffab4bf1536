// Counts the calls of this process that wait for the disk: fdatasync, fsync, msync(MS_SYNC), and writes through a
// descriptor that was opened with O_DSYNC or O_SYNC. The functions stand before libc's for the whole process, the
// database library included, and do nothing but count and make the system call. Flushes made through io_uring would not
// be seen; the library makes none.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "counters.h"

namespace ringraft::bench {
namespace {

constinit std::atomic<NodeCounters*> flush_counters{nullptr};

void CountFlush() {
  if (NodeCounters* counters = flush_counters.load(std::memory_order_relaxed)) {
    counters->flushes.fetch_add(1, std::memory_order_relaxed);
  }
}

// O_SYNC includes O_DSYNC's bit. A few writes a commit: asking each time costs nothing that a measurement would see.
void CountIfSynchronous(int fd) {
  const long flags = syscall(SYS_fcntl, fd, F_GETFL);
  if (flags >= 0 && (flags & O_DSYNC) != 0) CountFlush();
}

}  // namespace

void CountFlushesInto(NodeCounters& counters) { flush_counters.store(&counters, std::memory_order_relaxed); }

// Named by their symbols: the headers declare these functions with attributes that depend on the build.
extern "C" {
int ProbedFdatasync(int fd) __asm__("fdatasync");
int ProbedFsync(int fd) __asm__("fsync");
int ProbedMsync(void* address, size_t length, int flags) __asm__("msync");
ssize_t ProbedPwrite(int fd, const void* bytes, size_t count, int64_t offset) __asm__("pwrite");
ssize_t ProbedPwrite64(int fd, const void* bytes, size_t count, int64_t offset) __asm__("pwrite64");

[[gnu::visibility("default")]] int ProbedFdatasync(int fd) {
  CountFlush();
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

[[gnu::visibility("default")]] int ProbedFsync(int fd) {
  CountFlush();
  return static_cast<int>(syscall(SYS_fsync, fd));
}

[[gnu::visibility("default")]] int ProbedMsync(void* address, size_t length, int flags) {
  if ((flags & MS_SYNC) != 0) CountFlush();
  return static_cast<int>(syscall(SYS_msync, address, length, flags));
}

[[gnu::visibility("default")]] ssize_t ProbedPwrite(int fd, const void* bytes, size_t count, int64_t offset) {
  CountIfSynchronous(fd);
  return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

[[gnu::visibility("default")]] ssize_t ProbedPwrite64(int fd, const void* bytes, size_t count, int64_t offset) {
  return ProbedPwrite(fd, bytes, count, offset);
}
}

}  // namespace ringraft::bench
