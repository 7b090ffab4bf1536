// A log-linear histogram of latencies: 64 buckets a power of two, so a value is off by less than 1 %. No allocation
// after construction; one thread at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ringraft::bench {

class Histogram {
 public:
  Histogram() : counts_(kBuckets) {}

  void Add(uint64_t value) {
    ++counts_[BucketOf(value)];
    ++total_;
    if (value > max_) max_ = value;
  }
  void Clear();
  void Merge(const Histogram& other);
  // What was added since `earlier`, an older copy of this histogram; `max` stays that of all.
  Histogram Since(const Histogram& earlier) const;

  uint64_t total() const { return total_; }
  uint64_t max() const { return max_; }
  // The middle of the bucket that holds the quantile, 0 if nothing was added. 0 <= quantile <= 1.
  double Quantile(double quantile) const;

 private:
  static constexpr int kSubBits = 6;
  static constexpr size_t kSub = size_t{1} << kSubBits;
  static constexpr size_t kBuckets = (64 - kSubBits + 1) * kSub;

  // Values below 64 have a bucket each; then 64 equal buckets for every power of two.
  static size_t BucketOf(uint64_t value) {
    if (value < kSub) return value;
    const int shift = std::bit_width(value) - 1 - kSubBits;
    return (static_cast<size_t>(shift) + 1) * kSub + ((value >> shift) & (kSub - 1));
  }
  static double MiddleOf(size_t bucket);

  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

}  // namespace ringraft::bench
