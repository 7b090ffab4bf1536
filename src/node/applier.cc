#include "node/applier.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/duration.h"
#include "node/node.h"

namespace ringraft::node {
namespace {

constexpr size_t kApplyBytes = size_t{1} << 20;  // about as much a round
constexpr Duration kFirstRetry = std::chrono::milliseconds(10);
constexpr Duration kLastRetry = std::chrono::seconds(1);

}  // namespace

Applier::Applier(Node& node, StateMachine* machine, AsyncStateMachine* async_machine)
    : node_(node),
      machine_(machine),
      async_machine_(async_machine),
      durable_only_(machine != nullptr ? machine->IsDurable() : async_machine->IsDurable()),
      work_(node.loop()) {}

Task<void> Applier::Run() {
  for (;;) {
    core::NextApplyResult next = node_.core().NextApply(kApplyBytes, durable_only_);
    if (auto* batches = std::get_if<std::vector<BatchRef>>(&next)) {
      auto applying = Apply(std::move(*batches));
      co_await applying;
    } else if (auto* read = std::get_if<core::ReadRequest>(&next)) {
      auto reading = node_.ReadLog(read->from, read->max_bytes);
      auto stored = co_await reading;
      if (!stored) co_return node_.Fail(stored.error());
      auto applying = Apply(node_.core().OnApplyRead(std::move(stored.value()), durable_only_));
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
  // A witness has no commands, and gives its machine none of the few that came along with a configuration.
  const bool is_witness = node_.options().is_witness;
  for (const BatchRef& batch : batches)
    if (!is_witness)
      for (LogEntry entry : batch)
        if (entry.type == LogEntryType::kCommand) entries_.push_back(entry);
  if (!entries_.empty()) {
    auto applying = ApplyEntries();
    co_await applying;
  }
  node_.core().OnApplied(batches.back().last());
  node_.Touch();
}

// Until all of entries_ is applied. What fails is tried again, less and less often: the log cannot go on without it.
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
                               : fmt::format("it says that it applied {} of {} entries and gave {} results",
                                             applied.value(), rest.size(), results_.size());
    node_.logger().Write(LogLevel::kError,
                         fmt::format("{}: the state machine made no progress at index {}: {}; trying again in {} ms",
                                     node_.Name(), rest.front().index.value(), why, Milliseconds(retry)));
    auto later = node_.loop().SleepUntil(node_.loop().Now() + retry);
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
    node_.proposer().Deliver(index, term, results_, at, end - at);
    at = end;
  }
}

}  // namespace ringraft::node
