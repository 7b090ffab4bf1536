// Lowe's cache: the configurations that a search has visited (sets of ordered operations and the state after them, not
// memberships), and the multisets of optional operations spent in them. Owned by one search.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "checker/step_table.h"

namespace ringraft::checker {

// Multisets of spent operations. Interchangeable operations form a pool (search_operation.h); a multiset is the sorted
// pool numbers of its operations. Interned, since most configurations share theirs.
class SpentSets {
 public:
  using Set = std::vector<uint32_t>;

  SpentSets() { Intern(Set()); }
  static constexpr uint32_t kEmpty = 0;

  const Set& Get(uint32_t id) const { return *sets_[id]; }
  uint32_t Intern(const Set& set) {
    const auto [place, is_new] = ids_.emplace(set, static_cast<uint32_t>(sets_.size()));
    if (is_new) {
      sets_.push_back(&place->first);
      bytes_ += sizeof(*place) + sizeof(void*) * 5 + set.size() * sizeof(uint32_t);
    }
    return place->second;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::map<Set, uint32_t> ids_;
  std::vector<const Set*> sets_;
  size_t bytes_ = 0;
};

class ConfigurationCache {
 public:
  explicit ConfigurationCache(const SpentSets& spent) : spent_(spent), buckets_(1024, kEnd) {}

  // True if a visited configuration has the same key and has spent a subset of `spent`: whatever can be reached from
  // this one can be reached from that one. Adds the number of comparisons to `steps`.
  bool Covers(const Fingerprint& key, const SpentSets::Set& spent, uint64_t& steps) const {
    for (uint32_t at = buckets_[key.a & (buckets_.size() - 1)]; at != kEnd; at = entries_[at].next) {
      if (entries_[at].key != key) continue;
      ++steps;
      const SpentSets::Set& seen = spent_.Get(entries_[at].spent);
      if (seen.size() <= spent.size() && std::includes(spent.begin(), spent.end(), seen.begin(), seen.end())) {
        return true;
      }
    }
    return false;
  }
  void Add(const Fingerprint& key, uint32_t spent) {
    if (entries_.size() == buckets_.size()) Grow();
    uint32_t& bucket = buckets_[key.a & (buckets_.size() - 1)];
    entries_.push_back(Entry{key, spent, bucket});
    bucket = static_cast<uint32_t>(entries_.size() - 1);
  }
  size_t bytes() const { return entries_.size() * sizeof(Entry) + buckets_.size() * sizeof(uint32_t); }

 private:
  static constexpr uint32_t kEnd = StepTable::kNone;
  struct Entry {
    Fingerprint key;
    uint32_t spent;
    uint32_t next;
  };

  void Grow() {
    buckets_.assign(buckets_.size() * 2, kEnd);
    for (uint32_t i = 0; i < entries_.size(); ++i) {
      uint32_t& bucket = buckets_[entries_[i].key.a & (buckets_.size() - 1)];
      entries_[i].next = bucket;
      bucket = i;
    }
  }

  const SpentSets& spent_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> buckets_;
};

}  // namespace ringraft::checker
