// The log as an interface, as other Raft libraries have it. `AdaptStorage` (storage.h) makes a storage from a user's
// own `Log` and `Store`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// A log entry that owns its command.
struct OwnedLogEntry {
  OwnedLogEntry() = default;
  explicit OwnedLogEntry(const LogEntry& entry)
      : index(entry.index),
        term(entry.term),
        type(entry.type),
        command(entry.command),
        append_time(entry.append_time) {}
  LogEntry view() const { return LogEntry(index, term, type, command, append_time); }

  Index index;
  Term term;
  LogEntryType type = LogEntryType::kCommand;
  std::string command;
  std::chrono::system_clock::time_point append_time;
};

struct LogPosition {
  Index index;
  Term term;
  bool operator==(const LogPosition&) const = default;
};

// Invariant: indexes are consecutive from 1, and terms start at 1 or above and never decrease. Writes come from one
// thread at a time and return when the change is durable; reads may run on other threads at the same time. A write that
// is refused with kInvalidArgument (a gap, an index or term of 0, a decreasing term) changes nothing. After any other
// error (kIo, kFull, kCorrupt) a log accepts no write until it is opened again.
class Log {
 public:
  virtual ~Log() = default;

  virtual Result<Term> Get(Index index) const = 0;               // the entry's term; 0 if there is no entry
  virtual Result<bool> Match(Index index, Term term) const = 0;  // true if the entry at `index` is of `term`
  virtual Result<LogPosition> Last() const = 0;                  // (0, 0) if the log is empty
  virtual Result<std::vector<OwnedLogEntry>> RangeGet(Index after, Index to) const = 0;  // entries of (after, to]
  // Replaces all entries after `index` with `entries`, which start at index + 1; without entries it only truncates.
  // `index` is at most the last index. All or nothing.
  virtual Result<void> AppendAfter(Index index, std::span<const LogEntry> entries) = 0;
  // Appends after the last entry. All or nothing.
  virtual Result<void> Append(std::span<const LogEntry> entries) = 0;
  // Appends one entry after the last one, ignoring its index; returns the index that it has in the log.
  virtual Result<Index> AppendEntry(const LogEntry& entry) = 0;
};

}  // namespace ringraft
