#include "sim/intercepting_machine.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "base/format.h"

namespace ringraft::sim {
namespace {

constexpr int kMostTries = 100;  // in a row; a machine may take nothing and be called again

}  // namespace

void MachineDisk::Add(const LogEntry& entry) {
  entries_.push_back(Entry{entry.index, entry.term, std::string(entry.command)});
}

bool MachineDisk::RestoreTo(StateMachine& machine) const {
  std::vector<LogEntry> entries;
  for (const Entry& entry : entries_)
    entries.emplace_back(entry.index, entry.term, LogEntryType::kCommand, entry.command);
  ApplyResults results;
  int tries = 0;
  for (std::span<const LogEntry> rest(entries); !rest.empty() && tries < kMostTries;) {
    results.Clear();
    Result<size_t> applied = machine.Apply(rest, results);
    const size_t count = applied ? std::min(applied.value(), rest.size()) : 0;
    tries = count == 0 ? tries + 1 : 0;
    rest = rest.subspan(count);
  }
  return tries < kMostTries;
}

std::string InterceptingMachine::Wrap(uint64_t call, std::string_view command) {
  std::string wrapped(kPrefix, '\0');
  std::memcpy(wrapped.data(), &call, kPrefix);
  wrapped.append(command);
  return wrapped;
}

Result<size_t> InterceptingMachine::Apply(std::span<const LogEntry> entries, ApplyResults& results) {
  size_t count = entries.size();
  if (count > 1 && world_.random().Chance(faults_.partial))
    count = static_cast<size_t>(world_.random().Between(1, count - 1));
  entries_.assign(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(count));
  for (LogEntry& entry : entries_) entry.command.remove_prefix(kPrefix);
  for (const LogEntry& entry : entries_) {
    if (disk_ != nullptr && log_.TermAt(entry.index) != entry.term)
      world_.Fail("a durable state machine gets only durable entries",
                  fmt::format("node {} applies index {} of term {}; its disk ends at {}", node_, entry.index,
                              entry.term, log_.last()));
    if (disk_ != nullptr && entry.index <= disk_->last())
      world_.Fail("a state machine applies entries in order, each once",
                  fmt::format("the durable machine of node {} is given index {} after {}", node_, entry.index,
                              disk_->last()));
  }
  Result<size_t> applied = inner_.Apply(entries_, results);
  for (size_t i = 0; applied && i < std::min(applied.value(), count); ++i) {
    oracle_.OnApply(node_, entries[i]);
    if (disk_ != nullptr) disk_->Add(entries_[i]);
    uint64_t call = 0;
    std::memcpy(&call, entries[i].command.data(), kPrefix);
    on_apply_(call);
  }
  return applied;
}

}  // namespace ringraft::sim
