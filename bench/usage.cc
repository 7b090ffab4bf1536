#include "usage.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

#include <fstream>

namespace ringraft::bench {
namespace {

uint64_t CpuOf(pid_t pid) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
  timespec time{};
  if (pid != 0 && clock_getcpuclockid(pid, &clock) != 0) return 0;
  if (clock_gettime(clock, &time) != 0) return 0;
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

std::optional<uint64_t> WrittenBytesOf(pid_t pid) {
  std::ifstream io(fmt::format("/proc/{}/io", pid == 0 ? "self" : std::to_string(pid)));
  std::string key;
  uint64_t value = 0;
  while (io >> key >> value) {
    if (key == "write_bytes:") return value;
  }
  return std::nullopt;
}

std::optional<long> FileSystemType(const std::string& directory) {
  struct statfs status{};
  if (statfs(directory.c_str(), &status) != 0) return std::nullopt;
  return static_cast<long>(status.f_type);
}

}  // namespace

Usage& Usage::operator+=(const Usage& other) {
  cpu_ns += other.cpu_ns;
  if (written_bytes && other.written_bytes) {
    *written_bytes += *other.written_bytes;
  } else {
    written_bytes.reset();
  }
  flushes += other.flushes;
  commits += other.commits;
  batches += other.batches;
  batch_bytes += other.batch_bytes;
  commit_ns += other.commit_ns;
  return *this;
}

Usage Usage::operator-(const Usage& earlier) const {
  Usage used;
  used.cpu_ns = cpu_ns - earlier.cpu_ns;
  used.written_bytes.reset();
  if (written_bytes && earlier.written_bytes) used.written_bytes = *written_bytes - *earlier.written_bytes;
  used.flushes = flushes - earlier.flushes;
  used.commits = commits - earlier.commits;
  used.batches = batches - earlier.batches;
  used.batch_bytes = batch_bytes - earlier.batch_bytes;
  used.commit_ns = commit_ns - earlier.commit_ns;
  return used;
}

Usage UsageOf(pid_t pid, const NodeCounters& counters) {
  Usage usage;
  usage.cpu_ns = CpuOf(pid);
  usage.written_bytes = WrittenBytesOf(pid);
  usage.flushes = counters.flushes.load(std::memory_order_relaxed);
  usage.commits = counters.commits.load(std::memory_order_relaxed);
  usage.batches = counters.batches.load(std::memory_order_relaxed);
  usage.batch_bytes = counters.batch_bytes.load(std::memory_order_relaxed);
  usage.commit_ns = counters.commit_ns.load(std::memory_order_relaxed);
  return usage;
}

std::string FileSystemOf(const std::string& directory) {
  constexpr long kXfs = 0x58465342;
  constexpr long kZfs = 0x2fc12fc1;
  constexpr long kBcachefs = static_cast<long>(0xca451a4e);
  const std::optional<long> type = FileSystemType(directory);
  if (!type) return "an unknown file system";
  switch (*type) {
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    case NFS_SUPER_MAGIC:
      return "nfs";
    case TMPFS_MAGIC:
      return "tmpfs";
    case RAMFS_MAGIC:
      return "ramfs";
    case F2FS_SUPER_MAGIC:
      return "f2fs";
    case kXfs:
      return "xfs";
    case kZfs:
      return "zfs";
    case kBcachefs:
      return "bcachefs";
    default:
      return fmt::format("file system type {:#x}", *type);
  }
}

bool IsMemoryFileSystem(const std::string& directory) {
  const std::optional<long> type = FileSystemType(directory);
  return type && (*type == TMPFS_MAGIC || *type == RAMFS_MAGIC);
}

std::string Kernel() {
  utsname name{};
  if (uname(&name) != 0) return "an unknown kernel";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

int CpuCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace ringraft::bench
