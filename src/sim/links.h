// The links between addresses: latency, and the faults of each direction. Knows nothing of connections. Owned by the
// network.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "sim/world.h"

namespace ringraft::sim {

struct NetFaults {
  Nanos least_latency = 50 * kMicro;
  Nanos most_latency = 400 * kMicro;
  double spike = 0;  // fraction of transmissions that take up to most_spike longer
  Nanos most_spike = 50 * kMilli;
  int64_t bytes_per_second = 1'000'000'000;
  double tear = 0;               // fraction of transmissions that arrive in two parts
  Nanos most_tear = 5 * kMilli;  // between the two parts
  double refuse = 0;             // fraction of connections that are never answered
};

class Links final {
 public:
  explicit Links(World& world) : world_(world) {}
  Links(const Links&) = delete;

  World& world() { return world_; }
  const NetFaults& faults() const { return faults_; }
  void SetFaults(const NetFaults& faults) { faults_ = faults; }

  // One direction between two addresses. Cuts are counted: a link is whole when each of its cuts has been mended.
  void Cut(const std::string& from, const std::string& to) { ++cuts_[{from, to}]; }
  // Returns whether the last cut of the link has been mended.
  bool Mend(const std::string& from, const std::string& to);
  bool IsCut(const std::string& from, const std::string& to) const { return cuts_.contains({from, to}); }
  const std::map<std::pair<std::string, std::string>, uint64_t>& cuts() const { return cuts_; }

  // Adds to the latency of one direction, on top of what others have added. `SpeedUp` undoes it.
  void Slow(const std::string& from, const std::string& to, Nanos more) { slow_[{from, to}] += more; }
  void SpeedUp(const std::string& from, const std::string& to, Nanos more) { slow_[{from, to}] -= more; }
  void SpeedUpAll() { slow_.clear(); }

  // Draws the latency of one transmission.
  Nanos DrawLatency(const std::string& from, const std::string& to);

 private:
  World& world_;
  NetFaults faults_;
  std::map<std::pair<std::string, std::string>, uint64_t> cuts_;  // number of cuts
  std::map<std::pair<std::string, std::string>, Nanos> slow_;
};

}  // namespace ringraft::sim
