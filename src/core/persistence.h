// What waits to be written, what is being written, and what that means for the log in memory. Owned by the core.
//
//      Append, TruncateAfter, SetHardState          Next                        OnPersisted
//   ----------------------------------> pending ----------> outstanding (FIFO) -------------> durable
//
// A write covers the log up to the last index at the time when it was taken. If the log is truncated after that, all
// writes taken before count at most up to the cut: what they bring to the disk behind it is not the log any more, even
// if an equal-looking (index, term) stands there again later. (B10: comparing positions cannot tell these apart;
// numbers can.)
#pragma once

#include <deque>

#include "core/core.h"

namespace ringraft::core {

class Persistence {
 public:
  // The log that was recovered is durable up to its end.
  explicit Persistence(Index last_index) : taken_last_(last_index), durable_index_(last_index) {}

  void SetHardState(const HardState& hard_state);
  // Something to write, if nothing else waits: what the disk has already, so that no gate moves.
  void Probe(const HardState& hard_state);
  void Append(const BatchRef& batch);
  void TruncateAfter(Index index);

  bool HasWrite() const;
  Write Next(TimePoint now);
  // False if this was known already.
  bool OnPersisted(TimePoint now, WriteNumber number);

  // When the oldest write that is not durable was taken; never if there is none.
  TimePoint oldest() const { return outstanding_.empty() ? TimePoint::max() : outstanding_.front().taken; }
  Duration last_latency() const { return last_latency_; }

  Index durable_index() const { return durable_index_; }  // the log in memory up to here is on the disk
  WriteNumber persisted() const { return persisted_; }
  // The write that makes the newest hard state durable, or the log up to `index`; 0 if that is durable already.
  WriteNumber HardStateGate() const { return hard_state_number_ > persisted_ ? hard_state_number_ : 0; }
  WriteNumber LogGate(Index index) const;

  void CheckInvariants(Index last_index) const;

 private:
  struct Outstanding {
    WriteNumber number = 0;
    TimePoint taken;
    Index last;  // once it is durable, the log in memory up to here is
  };

  Index WrittenLast() const;  // the last index after all that was taken and all that waits

  Write pending_;                        // its number is given when it is taken
  std::deque<Outstanding> outstanding_;  // ascending numbers, `last` does not descend
  WriteNumber taken_ = 0;                // the number of the last write that was taken
  WriteNumber persisted_ = 0;
  WriteNumber hard_state_number_ = 0;  // of the write with the newest hard state; taken_ + 1 while it waits
  Index taken_last_;                   // the last index on the disk when all taken writes are durable
  Index durable_index_;
  Duration last_latency_{};  // of the write that became durable last
};

}  // namespace ringraft::core
