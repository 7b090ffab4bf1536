// A part of a test in a process of its own: a bad database may take the process that opens it down, and that has to be
// told like any other finding. Also how two cores are used.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

namespace ringraft::crash {

// Lies in memory that parent and child share, so it survives the child.
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
  // `work` gets a directory of its own, in memory where there is such a thing; it is removed with the worker.
  explicit Worker(const std::function<void(const std::string& directory, Report& report)>& work);
  ~Worker();
  Worker(const Worker&) = delete;

  // To be called once. A child that died has that as its problem.
  const Report& Wait();

 private:
  std::string directory_;
  Report* report_;
  pid_t child_;
};

}  // namespace ringraft::crash
