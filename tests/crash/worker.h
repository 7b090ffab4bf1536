// A part of a test in a process of its own: a bad database may crash the process that opens it, and that must be
// reported like any other failure. Several workers also use several cores.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

namespace ringraft::crash {

// In memory that parent and child share, so it survives the child.
struct Report {
  uint64_t histories = 0;
  uint64_t commits = 0;
  uint64_t points = 0;
  uint64_t images = 0;
  char where[300] = {};
  char problem[3000] = {};  // empty: none

  void SetWhere(const std::string& text);
  void SetProblem(const std::string& text);
};

class Worker {
 public:
  // `work` gets a directory of its own, on /dev/shm if possible; the destructor removes it.
  explicit Worker(const std::function<void(const std::string& directory, Report& report)>& work);
  ~Worker();
  Worker(const Worker&) = delete;

  // Called once. If the child died, its report's `problem` says so.
  const Report& Wait();

 private:
  std::string directory_;
  Report* report_;
  pid_t child_;
};

}  // namespace ringraft::crash
