#include "node/applier.h"

#include <algorithm>

#include "base/duration.h"
#include "base/format.h"

namespace ringraft::node {
namespace {

constexpr size_t kApplyBytes = size_t{1} << 20;  // about as much a round
constexpr Duration kFirstRetry = std::chrono::milliseconds(10);
constexpr Duration kLastRetry = std::chrono::seconds(1);

}  // namespace

Applier::Applier(const Parts& parts)
    : machine_(parts.machine),
      async_machine_(parts.async_machine),
      options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      storage_(parts.storage),
      proposer_(parts.proposer),
      control_(parts.control),
      log_(parts.log),
      durable_only_(machine_ != nullptr ? machine_->IsDurable() : async_machine_->IsDurable()),
      work_(parts.loop) {}

Task<void> Applier::Run() {
  for (;;) {
    core::NextApplyResult next = core_.NextApply(kApplyBytes, durable_only_);
    if (auto* batches = std::get_if<std::vector<BatchRef>>(&next)) {
      auto applying = Apply(std::move(*batches));
      co_await applying;
    } else if (auto* read = std::get_if<core::ReadRequest>(&next)) {
      auto reading = storage_.ReadLog(read->from, read->max_bytes);
      auto stored = co_await reading;
      if (!stored) co_return control_.Fail(stored.error());
      auto applying = Apply(core_.OnApplyRead(std::move(stored.value()), durable_only_));
      co_await applying;
    } else {
      auto woken = work_.Wait();
      co_await woken;
    }
  }
}

Task<void> Applier::Apply(std::vector<BatchRef> batches) {
  if (batches.empty()) co_return;  // the log has changed under the read
  entries_.clear();
  // A witness has no commands, and gives its machine none of the few that come in a batch with a configuration.
  const bool is_witness = options_.is_witness;
  for (const BatchRef& batch : batches)
    if (!is_witness)
      for (LogEntry entry : batch)
        if (entry.type == LogEntryType::kCommand) entries_.push_back(entry);
  if (!entries_.empty()) {
    auto applying = ApplyEntries();
    co_await applying;
  }
  core_.OnApplied(batches.back().last());
  control_.Touch();
}

// Until all of entries_ is applied. What fails is retried, less and less often: the log cannot continue without it.
Task<void> Applier::ApplyEntries() {
  Duration retry = kFirstRetry;
  for (size_t done = 0; done < entries_.size();) {
    results_.Clear();
    std::span<const LogEntry> rest(entries_.data() + done, entries_.size() - done);
    Result<size_t> applied = size_t{0};
    if (machine_ != nullptr) {
      applied = machine_->Apply(rest, results_);
    } else {
      auto applying = async_machine_->Apply(rest, results_);
      applied = co_await applying;
    }
    if (applied && applied.value() > 0 && applied.value() <= rest.size() && results_.size() == applied.value()) {
      size_t count = applied.value();
      Deliver(done, count);
      done += count;
      retry = kFirstRetry;
      continue;
    }
    std::string why = !applied ? applied.error().message()
                               : fmt::format("it reports {} of {} entries as applied and {} results", applied.value(),
                                             rest.size(), results_.size());
    log_.Error(fmt::format("the state machine made no progress at index {}: {}; retrying in {} ms", rest.front().index,
                           why, Milliseconds(retry)));
    auto later = loop_.SleepUntil(loop_.Now() + retry);
    co_await later;
    retry = std::min(retry * 2, kLastRetry);
  }
}

void Applier::Deliver(size_t from, size_t count) {
  // Runs of consecutive indexes of one term, which is what the proposer has in flight.
  for (size_t at = 0; at < count;) {
    size_t end = at + 1;
    const LogEntry& first = entries_[from + at];
    while (end < count && entries_[from + end].term == first.term &&
           entries_[from + end].index == first.index + (end - at))
      ++end;
    Index index = first.index;
    Term term = first.term;
    proposer_.Deliver(index, term, results_, at, end - at);
    at = end;
  }
}

}  // namespace ringraft::node
