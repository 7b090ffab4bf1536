// What the processes of the nodes have used up so far: CPU from their clocks, bytes from the kernel's accounting.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "counters.h"

namespace ringraft::bench {

struct Usage {
  uint64_t cpu_ns = 0;  // user and system, all threads
  // Sent towards the disk (write_bytes of /proc/PID/io); none where the kernel does not count it.
  std::optional<uint64_t> written_bytes = 0;
  uint64_t flushes = 0;
  uint64_t commits = 0;
  uint64_t batches = 0;
  uint64_t batch_bytes = 0;
  uint64_t commit_ns = 0;

  Usage& operator+=(const Usage& other);
  Usage operator-(const Usage& earlier) const;
};

// `pid` 0: this process. A process that is gone has used nothing.
Usage UsageOf(pid_t pid, const NodeCounters& counters);

// Where and on what a measurement was made, for people: "ext4", "Linux 6.1.0 x86_64", CPUs that may be used.
std::string FileSystemOf(const std::string& directory);
bool IsMemoryFileSystem(const std::string& directory);
std::string Kernel();
int CpuCount();

}  // namespace ringraft::bench
