// Which part of the log in memory is on this server's disk. Owned by the core.
//
//      Append, TruncateAfter, SetHardState          Next                        OnPersisted
//   ----------------------------------> pending ----------> outstanding (FIFO) -------------> durable
//
// The problem: writes take time, and the log may change while they are on their way. The naive way, to remember the
// last (index, term) of a write and to compare it with the log when the write is done, fails if an entry is overwritten
// and comes back (hazard B10: ABA of overwritten entries):
//  1. Write 1 is taken: entry 2 of term 1.
//  2. A leader of term 2 replaces it. Write 2 is taken: truncate after 1, append entry 2 of term 2.
//  3. A leader of term 3 has the first entry 2 and replaces it again. Write 3: truncate after 1, entry 2 of term 1.
//  4. Write 1 is done. The log has (2, term 1), and so has the disk, but write 2 is about to remove it: after a crash
//     before write 3 it is gone. It must not be acknowledged yet.
//
// So writes are numbered. Each covers the log up to the last index at the time it was taken, and a truncation lowers
// that for all writes taken before it. A reply that needs something durable carries a gate, the number of a write, and
// is sent when that write is done. etcd's raft describes the problem at newStorageAppendRespMsg (rawnode.go);
// workerd's io-gate.h has the idea of gates.
#pragma once

#include <deque>

#include "core/core.h"

namespace ringraft::core {

class Persistence {
 public:
  // The recovered log is durable up to its last index.
  explicit Persistence(Index last_index) : taken_last_(last_index), durable_index_(last_index) {}

  void SetHardState(const HardState& hard_state);
  // Adds a write of what the disk has already, without moving a gate, if nothing else is pending.
  void Probe(const HardState& hard_state);
  void Append(const BatchRef& batch);
  void TruncateAfter(Index index);

  bool HasWrite() const;
  Write Next(TimePoint now);
  // Returns false if this was known already.
  bool OnPersisted(TimePoint now, WriteNumber number);

  // When the oldest write that is not durable was taken; TimePoint::max() if there is none.
  TimePoint oldest() const { return outstanding_.empty() ? TimePoint::max() : outstanding_.front().taken; }
  Duration last_latency() const { return last_latency_; }

  Index durable_index() const { return durable_index_; }  // the log in memory up to here is on the disk
  WriteNumber persisted() const { return persisted_; }
  // The gates of the newest hard state and of the log up to `index`; 0 if that is durable already.
  WriteNumber HardStateGate() const { return hard_state_number_ > persisted_ ? hard_state_number_ : 0; }
  WriteNumber LogGate(Index index) const;

  void CheckInvariants(Index last_index) const;

 private:
  struct Outstanding {
    WriteNumber number = 0;
    TimePoint taken;
    Index last;  // once this write is durable, the log in memory up to here is
  };

  Index WrittenLast() const;  // the last index of the disk after all outstanding writes and the pending one

  Write pending_;                        // gets its number when it is taken
  std::deque<Outstanding> outstanding_;  // Invariant: numbers ascend, `last` never decreases
  WriteNumber taken_ = 0;                // the number of the last write taken
  WriteNumber persisted_ = 0;
  WriteNumber hard_state_number_ = 0;  // of the write with the newest hard state; taken_ + 1 while it waits
  Index taken_last_;                   // the last index of the disk after all outstanding writes
  Index durable_index_;
  Duration last_latency_{};  // of the write that became durable last
};

}  // namespace ringraft::core
