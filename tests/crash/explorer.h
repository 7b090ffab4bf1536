// Cuts the power at every point of a recorded history, in many ways: opens each state that the disk may then have,
// which must be that of a commit, not older than the last acknowledged one, and not of one that had not begun.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_set>

#include "disk.h"
#include "workload.h"

namespace ringraft::crash {

// The number of states of the disk to test at each point, besides those with all and with nothing lost.
struct Effort {
  int blocks = 2;
  int torn = 2;
  // Before a flush and within a synchronous write, where most is undecided: all states with whole blocks if there are
  // at most 2 to the power of `all_below`; and this many random ones.
  int all_below = 5;
  int most_blocks = 8;
  int most_torn = 10;
};

class Explorer {
 public:
  // Opens images in `directory`/image. Calls `on_image` before each, with a text that identifies it.
  Explorer(std::string directory, Flushes flushes, Random& random,
           std::function<void(const std::string&)> on_image = {});

  // Returns the defect of the first bad state, or "". Stops early when `images` reaches `enough`.
  std::string Explore(const History& history, const Effort& effort, uint64_t enough = UINT64_MAX);

  uint64_t images() const { return images_; }  // distinct ones
  uint64_t points() const { return points_; }
  // One of the good images of the last history.
  const DiskImage& kept() const { return kept_; }

 private:
  struct Window {
    int first, last;  // the commits with an allowed state
  };
  std::string ExplorePoint(const History& history, const Disk& disk, Window window, const Effort& effort,
                           bool is_fullest);
  std::string Check(const History& history, const DiskImage& image, Window window);
  std::string Open(const History& history, Window window);
  std::string CommitMore();

  std::string directory_;
  Flushes flushes_;
  Random& random_;
  std::function<void(const std::string&)> on_image_;
  std::unordered_set<uint64_t> seen_;
  std::string point_;
  uint64_t images_ = 0;
  uint64_t history_images_ = 0;
  uint64_t points_ = 0;
  DiskImage kept_;
};

}  // namespace ringraft::crash
