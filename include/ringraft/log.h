// The log as an interface, as users know it from other libraries. A user's own `Log` and `Store` can stand in
// for the default storage through `AdaptStorage` (storage.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ringraft/errc.h"
#include "ringraft/types.h"

namespace ringraft {

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

// Entries have consecutive indexes from 1, and terms from 1 that never fall. Writing calls come from one thread at a
// time and return only when the change is durable; reading calls may come from another thread at the same time. A write
// that is refused with kInvalidArgument (a gap, an index or term of 0, a falling term) leaves the log as it was. After
// any other error of a write, nothing more may be written until the log has been opened again: kIo, kFull, kCorrupt.
class Log {
 public:
  virtual ~Log() = default;

  virtual Result<Term> Get(Index index) const = 0;               // the entry's term; 0 if there is none
  virtual Result<bool> Match(Index index, Term term) const = 0;  // is there an entry of this index and term?
  virtual Result<LogPosition> Last() const = 0;                  // (0, 0) if empty
  virtual Result<std::vector<OwnedLogEntry>> RangeGet(Index after, Index to) const = 0;  // (after, to]; none if none
  // Replaces what follows `index` with the entries, whose indexes begin at index + 1; with none, it only removes.
  // `index` must not be behind the last. One change: all or nothing.
  virtual Result<void> AppendAfter(Index index, std::span<const LogEntry> entries) = 0;
  virtual Result<void> Append(std::span<const LogEntry> entries) = 0;
  // Appends one entry behind the last, whatever index it carries; returns the index it got.
  virtual Result<Index> AppendEntry(const LogEntry& entry) = 0;
};

}  // namespace ringraft
