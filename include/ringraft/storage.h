// The interface through which a node persists, and the implementations that the library provides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ringraft/batch.h"
#include "ringraft/errc.h"
#include "ringraft/log.h"
#include "ringraft/store.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace RINGRAFT_PUBLIC ringraft {

// The state besides the log that survives restarts (paper, Figure 2).
struct HardState {
  Term term;
  NodeId vote;  // 0: none in this term
  bool operator==(const HardState&) const = default;
};

// The entries [first_index, next run's first_index) have this term.
struct TermRun {
  Index first_index;
  Term term;
  bool operator==(const TermRun&) const = default;
};

// A configuration entry of the log: its index and its command.
struct StoredConfiguration {
  Index index;
  std::string command;
};

// The summary of a log that a node needs when it starts, before it reads any entry.
struct RecoveredLog {
  HardState hard_state;
  Index last_index;
  std::vector<TermRun> terms;                       // ascending
  std::vector<StoredConfiguration> configurations;  // ascending
};

// The storage of one group of one node. `Recover` is called first. `Commit` and the setters of `Log` and `Store` come
// from one thread at a time (the storage thread); `Read` and the getters may run on other threads at the same time.
class Storage {
 public:
  virtual ~Storage() = default;

  // Reads the summary of what is stored. Errors: kCorrupt, kIo.
  virtual Result<RecoveredLog> Recover() = 0;

  // One atomic change: stores the hard state if given, then removes the entries after `truncate_after` if given, then
  // appends the batches, which directly follow the last entry and each other. Returns when a power cut can no longer
  // undo it. kInvalidArgument (a gap, a decreasing term, another group) changes nothing. After any other error (kIo,
  // kFull, kCorrupt) the storage accepts no further writes (kIo), and the node stops.
  virtual Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                              std::span<const BatchRef> batches) = 0;

  // Called once, on the committing thread, when a power cut can no longer undo the commit. Must not use the storage.
  using OnDurable = std::function<void()>;

  // The same for a caller that can continue as soon as the change is durable: `on_durable` may run before `CommitEarly`
  // returns, while work remains that `Read` waits for. An error before `on_durable` is an error of `Commit`; after an
  // error following it the change is durable, and the storage accepts no further writes. The default calls `Commit`.
  virtual Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                   std::span<const BatchRef> batches, const OnDurable& on_durable) {
    auto committed = Commit(hard_state, truncate_after, batches);
    if (committed) on_durable();
    return committed;
  }

  // Reads batches from the one that holds `from` (0 means 1) on: always that one, and more while all of them fit into
  // `max_bytes`. Checks their checksums. Empty if `from` is beyond the last index. Errors: kCorrupt, naming the index;
  // kIo.
  virtual Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const = 0;

  virtual ringraft::Log& Log() = 0;
  virtual ringraft::Store& Store() = 0;
};

struct LmdbOptions {
  // Upper bound of the database file, in bytes. Reserves address space only: the file grows as needed.
  size_t max_bytes = size_t{64} << 30;
  GroupId group = GroupId(1);
};

// Opens or creates the database in `directory`, which is created if its parent exists. A creation that a crash cut
// short is started over. Errors: kLocked (another process uses the directory), kCorrupt (the directory had a database,
// which is unreadable, truncated or missing), kWrongVersion (a newer format), kFull, kIo.
Result<std::shared_ptr<Storage>> OpenLmdbStorage(const std::string& directory, LmdbOptions options = {});

// Keeps everything in memory and survives nothing: for tests and benchmarks.
std::shared_ptr<Storage> MakeMemoryStorage();

// A storage on top of a user's own log and store. A commit makes the hard state durable first, then the log.
std::shared_ptr<Storage> AdaptStorage(std::shared_ptr<Log> log, std::shared_ptr<Store> store);

}  // namespace ringraft
