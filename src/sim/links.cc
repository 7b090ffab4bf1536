#include "sim/links.h"

namespace ringraft::sim {

bool Links::Mend(const std::string& from, const std::string& to) {
  auto cut = cuts_.find({from, to});
  if (cut == cuts_.end() || --cut->second > 0) return false;
  cuts_.erase(cut);
  return true;
}

Nanos Links::DrawLatency(const std::string& from, const std::string& to) {
  Random& random = world_.random();
  Nanos latency = static_cast<Nanos>(
      random.Between(static_cast<uint64_t>(faults_.least_latency), static_cast<uint64_t>(faults_.most_latency)));
  if (random.Chance(faults_.spike))
    latency += static_cast<Nanos>(random.Below(static_cast<uint64_t>(faults_.most_spike)));
  auto slow = slow_.find({from, to});
  return slow == slow_.end() ? latency : latency + slow->second;
}

}  // namespace ringraft::sim
