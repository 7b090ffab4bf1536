#include "core/configuration_history.h"

#include <utility>

#include "base/assert.h"

namespace ringraft::core {
namespace {

const Configuration& NoConfiguration() {
  static const Configuration none;
  return none;
}

}  // namespace

const Configuration& ConfigurationHistory::newest() const {
  return entries_.empty() ? NoConfiguration() : entries_.back().configuration;
}

Index ConfigurationHistory::newest_index() const { return entries_.empty() ? Index(0) : entries_.back().index; }

const Configuration& ConfigurationHistory::previous() const {
  return entries_.size() < 2 ? NoConfiguration() : entries_[entries_.size() - 2].configuration;
}

const ConfigurationHistory::Entry* ConfigurationHistory::FirstAfter(Index index) const {
  for (const Entry& entry : entries_) {
    if (entry.index > index) return &entry;
  }
  return nullptr;
}

void ConfigurationHistory::Append(Index index, Configuration configuration) {
  RINGRAFT_ASSERT(index > newest_index());
  RINGRAFT_ASSERT(!configuration.empty());
  entries_.push_back(Entry{index, std::move(configuration)});
}

bool ConfigurationHistory::TruncateAfter(Index index) {
  size_t before = entries_.size();
  while (!entries_.empty() && entries_.back().index > index) entries_.pop_back();
  return entries_.size() != before;
}

}  // namespace ringraft::core
