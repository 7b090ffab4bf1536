// What the leader knows of one peer, and what is on its way to it. Owned by the Leadership.
//
//              +--- an append succeeds ---------------------------+
//              |                                                   v
//          [ kProbe ]  one append in flight                 [ kReplicate ]  several, within the window
//              ^                                                   |
//              +--- an append is refused, fails, or makes no sense +
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

  // Reserves room in the window. No other append of this leadership has the sequence: a peer that goes and comes back
  // has another Progress, which answers to the old one mean nothing to.
  void Send(uint64_t sequence, size_t bytes);
  // Gives the room back. False if that append is not awaited any more: its answer says nothing about the present (B5).
  bool Receive(uint64_t sequence);
  // Nothing in flight counts any more; the next append finds out where the logs agree, from `from` on.
  void ProbeFrom(Index from);

  // The same where no answer has come, or will come. An unanswered probe has told nothing: where to look stays as it
  // is, or a peer that was away would be sent the whole log (D10).
  void ProbeAgain();

  // The peer answers from another data directory than before, which has nothing of what the old one had acknowledged.
  void BeginAnew(uint64_t directory, Index next_index);

  bool HasRead(Index index) const {
    return !read.empty() && index >= read.front().first() && index <= read.back().last();
  }

  Peer peer;
  uint64_t incarnation = 0;           // of the data directory that answers; 0: none has yet
  bool is_witness = false;            // it is sent no commands
  bool is_witness_directory = false;  // that is what it says of itself
  uint8_t priority = 0;               // to be the leader
  bool is_disk_stalled = false;       // it takes no leadership over
  State state = State::kProbe;
  Index match;        // durable there, and the same as ours
  Index next;         // of the next entry to send; > match
  Index commit_told;  // the commit index that the peer knows if it has got all we sent
  TimePoint contact;  // when it answered last, or when it became our peer
  TimePoint began;    // when it became our peer
  std::deque<InFlight> in_flight;
  size_t in_flight_bytes = 0;  // sum of in_flight
  bool is_reading = false;     // a ReadRequest is out
  std::vector<BatchRef> read;  // what it brought; consecutive, of our log
  uint64_t lost_matches = 0;   // refusals of what had been called durable there before
};

}  // namespace ringraft::core
