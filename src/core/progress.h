// What the leader knows of one peer, and what is in flight to it. Owned by the Leadership.
//
//              +--- an append succeeds ---------------------------+
//              |                                                   v
//          [ kProbe ]  one append in flight                 [ kReplicate ]  several, within the window
//              ^                                                   |
//              +--- an append is refused, fails, or is invalid ----+
//
// The problem: replies arrive late, out of order, and for abandoned appends. The naive way, to judge a reply by its
// indexes alone, fails: a late refusal rewinds a peer that has matched since (hazard B5), a late success frees room in
// the window twice (B12), and a reply to an earlier life of a peer that was removed and added again is taken for one of
// the present (C18). So each append has a sequence number that is unique in the leadership, and only a reply to an
// append that is in flight changes the progress:
//
//     sent  #7  #8  #9          in_flight  7 8 9
//     #8 is refused             in_flight  -           kProbe; one append, #10, finds out where the logs agree
//     #7 succeeds, late         ignored: 7 is not in flight
//
// Probing and pipelining are described in §10.2.1; etcd's raft has the same states (tracker/progress.go).
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "ringraft/batch.h"
#include "ringraft/types.h"

namespace ringraft::core {

struct Progress {
  enum class State { kProbe, kReplicate };

  struct InFlight {
    uint64_t sequence = 0;
    size_t bytes = 0;
  };

  Progress(Peer peer, Index next_index, TimePoint now)
      : peer(std::move(peer)), next(next_index), contact(now), began(now) {}

  // Occupies the window. Precondition: no other append of this leadership has this sequence number.
  void Send(uint64_t sequence, size_t bytes);
  // Frees the window. Returns false if that append is no longer in flight: its reply must be ignored (B5).
  bool Receive(uint64_t sequence);
  // Forgets what is in flight and probes for the position where the logs agree, starting with entry `from`.
  void ProbeFrom(Index from);
  // The same after a failure without a reply. A probe stays where it is, or a peer that was away would be sent the
  // whole log (D10).
  void ProbeAgain();
  // The peer replies from another data directory, which has nothing of what the previous one has acknowledged.
  void Reset(uint64_t directory, Index next_index);

  bool HasRead(Index index) const {
    return !read.empty() && index >= read.front().first() && index <= read.back().last();
  }

  Peer peer;
  uint64_t incarnation = 0;           // of the data directory that replies; 0: no reply yet
  bool is_witness = false;            // by the configuration: it is sent no commands
  bool is_witness_directory = false;  // by its own replies
  uint8_t priority = 0;               // by its own replies
  bool is_disk_stalled = false;       // by its own replies: not to be chosen as successor
  State state = State::kProbe;
  Index match;        // the peer's log up to here is ours, and on its disk
  Index next;         // of the next entry to send. Invariant: > match
  Index commit_told;  // the commit index that the peer knows once it has received all that was sent
  TimePoint contact;  // of its last reply, or when it became a peer
  TimePoint began;    // when it became a peer
  std::deque<InFlight> in_flight;
  size_t in_flight_bytes = 0;  // Invariant: the sum over in_flight
  bool is_reading = false;     // a ReadRequest has been returned and not reported
  std::vector<BatchRef> read;  // the batches of the last read. Invariant: consecutive, of this log
  uint64_t lost_matches = 0;   // refusals of a match that the peer had reported as durable
};

}  // namespace ringraft::core
