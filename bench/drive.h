// The course of one measurement: warm up, measure, end; watched all the while.
#pragma once

#include "load.h"
#include "options.h"
#include "signals.h"

namespace ringraft::bench {

// What one second looked like.
struct Progress {
  double second = 0;  // since the start of the load
  bool is_warmup = false;
  double ops_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
};

// Told by `Drive` as the run goes on, on its thread.
class DriveObserver {
 public:
  virtual ~DriveObserver() = default;
  // Several times a second. An error ends the run.
  virtual Result<void> Check() = 0;
  virtual void OnSecond(const Progress& progress) = 0;
  virtual void OnWindowStart() = 0;
  virtual void OnWindowEnd() = 0;
};

// Runs the load from its start to its end. A failed call does not fail this function: it is in the statistics, and the
// run ends early if every client has failed. After an error the load may still be running: stop the node first.
Result<LoadStats> Drive(Load& load, Raft& raft, const LoadSpec& spec, Signals& signals, DriveObserver& observer);

}  // namespace ringraft::bench
