// The configurations of the log in memory, in log order. The newest one is in effect, committed or not (§4.1); when its
// entry is truncated, the one before it is in effect again. Owned by the core.
#pragma once

#include <vector>

#include "core/configuration.h"
#include "ringraft/errc.h"
#include "ringraft/storage.h"
#include "ringraft/types.h"

namespace ringraft::core {

class ConfigurationHistory {
 public:
  // Index 0 and no members if the log has none.
  const Configuration& newest() const;
  Index newest_index() const;
  // The one before the newest; without members if there is none.
  const Configuration& previous() const;
  // The first entry after `index`; null if there is none.
  struct Entry {
    Index index;
    Configuration configuration;
  };
  const Entry* FirstAfter(Index index) const;
  const std::vector<Entry>& entries() const { return entries_; }

  void Append(Index index, Configuration configuration);
  // Returns true if the newest one has changed.
  bool TruncateAfter(Index index);

 private:
  std::vector<Entry> entries_;  // ascending
};

}  // namespace ringraft::core
