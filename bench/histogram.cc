#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace ringraft::bench {

void Histogram::Clear() {
  std::fill(counts_.begin(), counts_.end(), 0);
  total_ = 0;
  max_ = 0;
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  max_ = std::max(max_, other.max_);
}

Histogram Histogram::Since(const Histogram& earlier) const {
  Histogram difference = *this;
  if (earlier.total_ > total_) return difference;  // it has been cleared in between
  for (size_t i = 0; i < kBuckets; ++i) difference.counts_[i] -= std::min(earlier.counts_[i], counts_[i]);
  difference.total_ -= earlier.total_;
  return difference;
}

double Histogram::Quantile(double quantile) const {
  if (total_ == 0) return 0;
  const double wanted = std::clamp(std::ceil(quantile * static_cast<double>(total_)), 1.0, static_cast<double>(total_));
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (static_cast<double>(seen) >= wanted) return std::min(MiddleOf(i), static_cast<double>(max_));
  }
  return static_cast<double>(max_);
}

double Histogram::MiddleOf(size_t bucket) {
  if (bucket < kSub) return static_cast<double>(bucket);
  const int shift = static_cast<int>(bucket / kSub) - 1;
  const double width = std::ldexp(1.0, shift);
  return static_cast<double>(kSub + bucket % kSub) * width + (width - 1) / 2;
}

}  // namespace ringraft::bench
