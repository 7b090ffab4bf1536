#include "core_driver/disk.h"

namespace ringraft::core {

std::string Disk::Commit(const Write& write) {
  if (write.hard_state) {
    if (write.hard_state->term < hard_state_.term) return "the term on a disk goes back";
    const bool is_same_term = write.hard_state->term == hard_state_.term;
    if (is_same_term && hard_state_.vote && write.hard_state->vote != hard_state_.vote) {
      return "a vote on a disk changes";
    }
    hard_state_ = *write.hard_state;
  }
  if (write.truncate_after) {
    const Index last = *write.truncate_after;
    if (last >= history_.last_index()) return "a write truncates entries that do not exist";
    while (!batches_.empty() && batches_.back().last() > last) {
      const BatchRef cut = batches_.back();
      batches_.pop_back();
      if (cut.first() <= last) batches_.push_back(cut.Slice(cut.first(), last));
    }
    history_.TruncateAfter(last);
  }
  for (const BatchRef& batch : write.batches) {
    if (batch.first() != history_.last_index() + 1) return "a write leaves a gap in the log";
    batches_.push_back(batch);
    history_.Append(batch.last(), batch.term());
  }
  return "";
}

RecoveredLog Disk::Recover() const {
  RecoveredLog recovered;
  recovered.hard_state = hard_state_;
  recovered.last_index = history_.last_index();
  recovered.terms = history_.runs();
  for (const BatchRef& batch : batches_) {
    if ((batch.header().flags & BatchHeader::kHasConfiguration) == 0) continue;
    for (const LogEntry& entry : batch) {
      if (entry.type != LogEntryType::kConfiguration) continue;
      recovered.configurations.push_back(StoredConfiguration{entry.index, std::string(entry.command)});
    }
  }
  return recovered;
}

std::vector<BatchRef> Disk::Read(Index from, size_t max_bytes) const {
  std::vector<BatchRef> read;
  size_t bytes = 0;
  for (const BatchRef& batch : batches_) {
    if (batch.last() < from) continue;
    if (!read.empty() && bytes + batch.size() > max_bytes) break;
    bytes += batch.size();
    read.push_back(batch);
  }
  return read;
}

}  // namespace ringraft::core
