// The one interface through which the runtime persists, and the implementations that come with the library.
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

namespace ringraft {

// What a server must remember over restarts besides its log (paper, Figure 2).
struct HardState {
  Term term;
  NodeId vote;  // 0: none in this term
  bool operator==(const HardState&) const = default;
};

// Entries [first_index, next run's first_index) have this term.
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

// What the runtime needs to know of a log before it reads any entry of it.
struct RecoveredLog {
  HardState hard_state;
  Index last_index;
  std::vector<TermRun> terms;                       // ascending
  std::vector<StoredConfiguration> configurations;  // ascending
};

// Implementations are used by one group of one node. `Recover` comes first. `Commit` and the setters of the facets
// come from one thread (the storage thread); `Read` and the getters may come from another at the same time.
class Storage {
 public:
  virtual ~Storage() = default;

  // Reads what is stored. Errors: kCorrupt, kIo.
  virtual Result<RecoveredLog> Recover() = 0;

  // Makes all of it durable, or nothing: the hard state if given, then everything behind `truncate_after` removed if
  // given, then the batches appended (consecutive, directly behind the last entry). Returns only when a power cut can
  // no longer undo it. After an error the storage takes nothing more (kIo), and the node stops; only kInvalidArgument
  // (batches that do not follow, a falling term, another group) changes nothing. Errors: kIo, kFull, kCorrupt,
  // kInvalidArgument.
  virtual Result<void> Commit(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                              std::span<const BatchRef> batches) = 0;

  // Called once, on the thread that commits, when a power cut can no longer undo the commit. It must not use the
  // storage.
  using OnDurable = std::function<void()>;

  // Commit for who would rather not wait for its return: it may be durable, and `on_durable` called, while there is
  // still work to do with it, for which `Read` waits. An error before the call is that of Commit; an error after it
  // leaves the commit durable, and the storage takes nothing more. What is not overridden calls Commit.
  virtual Result<void> CommitEarly(const std::optional<HardState>& hard_state, std::optional<Index> truncate_after,
                                   std::span<const BatchRef> batches, const OnDurable& on_durable) {
    auto committed = Commit(hard_state, truncate_after, batches);
    if (committed) on_durable();
    return committed;
  }

  // Batches from the one that holds `from` on (0 means 1): one, and then as many as fit into `max_bytes` together with
  // it. Their checksums are checked. None if `from` is behind the end. Errors: kCorrupt names the index, kIo.
  virtual Result<std::vector<BatchRef>> Read(Index from, size_t max_bytes) const = 0;

  virtual ringraft::Log& Log() = 0;
  virtual ringraft::Store& Store() = 0;
};

struct LmdbOptions {
  // Upper bound of the database file. Address space only: the file grows as needed.
  size_t max_bytes = size_t{64} << 30;
  GroupId group = GroupId(1);
};

// Opens or creates the database in `directory` (created if its parent exists). Refuses by name: a directory that
// another process holds (kLocked), an unreadable, truncated or missing database in a directory that had one (kCorrupt),
// a newer format (kWrongVersion). A creation that was cut short is started over.
Result<std::shared_ptr<Storage>> OpenLmdbStorage(const std::string& directory, LmdbOptions options = {});

// Nothing survives: for tests and benchmarks.
std::shared_ptr<Storage> MakeMemoryStorage();

// A user's own log and store. The hard state is made durable first, then the log.
std::shared_ptr<Storage> AdaptStorage(std::shared_ptr<Log> log, std::shared_ptr<Store> store);

}  // namespace ringraft
