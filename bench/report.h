// What a run comes to, as a line of JSON, as a table for people, and as one line a second while it goes on.
#pragma once

#include <string>

#include "drive.h"
#include "load.h"
#include "options.h"
#include "usage.h"

namespace ringraft::bench {

struct Report {
  size_t nodes = 0;
  LoadSpec load;
  StoreKind store = StoreKind::kLmdb;
  std::string where;  // "ext4, Linux 6.1.0 x86_64, 2 CPUs"

  double seconds = 0;  // between the readings of what was used
  uint64_t commands = 0;
  double ops_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double p999_us = 0;
  double max_us = 0;
  Usage all;                // of all nodes, in the measured time
  Usage leader;             // of the one with the clients
  uint64_t errors = 0;      // calls that failed
  std::string error_lines;  // one for each kind
};

// The numbers of `stats` taken over; the rest is the caller's.
void TakeStats(Report& report, const LoadStats& stats);

// One line. Commands are what counts as an operation; CPU, flushes and bytes are those of all nodes.
std::string ToJson(const Report& report);
std::string ToTable(const Report& report);
// To standard output and error, and the exit code: 1 if any call failed.
int Print(const Report& report, bool as_json);

// A line on a terminal that is written over every second; nothing at all if standard error is none.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { Clear(); }
  void Show(const Progress& progress);
  void Show(const std::string& text);
  void Clear();

 private:
  bool is_terminal_;
  bool is_shown_ = false;
};

}  // namespace ringraft::bench
