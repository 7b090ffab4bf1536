// A small pseudo-random generator (splitmix64) with the same sequence on every compiler and standard library. The
// core's only randomness, for election timeouts.
#pragma once

#include <cstdint>

#include "ringraft/types.h"

namespace ringraft::core {

class Random {
 public:
  // Nodes with the same seed draw different timeouts (A20).
  Random(uint64_t seed, NodeId self) : state_(seed) {
    uint64_t mixed = Next();
    state_ = mixed ^ (self.value() * 0x9e3779b97f4a7c15u);
  }

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // In [min, max). Precondition: min < max.
  Duration Between(Duration min, Duration max) {
    auto range = static_cast<uint64_t>((max - min).count());
    uint64_t draw = Next();
    return min + Duration(static_cast<Duration::rep>(draw % range));
  }

 private:
  uint64_t state_;
};

}  // namespace ringraft::core
