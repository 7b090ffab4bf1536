#include "core/progress.h"

#include <algorithm>

#include "base/assert.h"

namespace ringraft::core {

void Progress::Send(uint64_t sequence, size_t bytes) {
  in_flight.push_back(InFlight{sequence, bytes});
  in_flight_bytes += bytes;
}

bool Progress::Receive(uint64_t sequence) {
  auto found =
      std::find_if(in_flight.begin(), in_flight.end(), [&](const InFlight& sent) { return sent.sequence == sequence; });
  if (found == in_flight.end()) return false;
  in_flight_bytes -= found->bytes;
  in_flight.erase(found);
  return true;
}

void Progress::ProbeFrom(Index from) {
  RINGRAFT_ASSERT(from > match);
  state = State::kProbe;
  next = from;
  commit_told = Index(0);
  in_flight.clear();
  in_flight_bytes = 0;
}

void Progress::ProbeAgain() { ProbeFrom(state == State::kProbe ? next : match + 1); }

void Progress::Reset(uint64_t directory, Index next_index) {
  incarnation = directory;
  match = Index(0);
  lost_matches = 0;
  ProbeFrom(next_index);
}

}  // namespace ringraft::core
