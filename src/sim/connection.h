// One simulated TCP connection: two pipes of packets, and a stream at each end.
#pragma once

#include <kj/async-io.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "sim/net.h"

namespace ringraft::sim {

class SimStream;

// Both directions, and both ends. `sender` 0 is the end that connected, 1 the one that accepted.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  enum class Kind { kData, kEnd, kReset };
  struct Packet {
    Kind kind = Kind::kData;
    std::string bytes;
    bool is_rest = false;  // what came before it of the same write has been sent apart
  };
  struct End {
    SimHost* host = nullptr;  // null: nobody, or dead
    std::string address;
    SimStream* stream = nullptr;
    bool was_open = false;  // a stream has existed
  };
  struct Pipe {
    Nanos last_arrival = 0;
    std::deque<Packet> stalled;  // arrived at a cut
    size_t unread = 0;           // bytes sent and not read
    bool is_lost = false;        // something was sent to a dead machine: TCP tries again when that is back
    bool is_reset = false;       // a reset has arrived: what comes behind it, though it was sent before, is dropped
  };

  Connection(Net& net, uint64_t id) : net_(net), id_(id) {}

  // One end's stream, for its host. Once an end.
  kj::Own<kj::AsyncIoStream> Open(size_t end);

  void Send(size_t sender, Packet packet);
  void Arrive(size_t sender, Packet packet);
  void Retransmit(size_t sender);
  void OnRead(size_t reader, size_t bytes);
  void ForgetIfOver();  // once both ends are gone
  void Reset();
  void ResetInMessage() { is_ending_in_message_ = true; }
  bool Joins(size_t sender, const std::string& from, const std::string& to) const {
    return ends[sender].address == from && ends[1 - sender].address == to;
  }

  End ends[2];
  Pipe pipes[2];  // pipes[i] carries what end i sends

 private:
  void Schedule(size_t sender, Packet packet, Nanos delay = 0);
  void Overtake(size_t sender, Packet reset);
  void Receive(size_t sender, Packet packet);

  Net& net_;
  const uint64_t id_;
  bool is_ending_in_message_ = false;  // a reset comes in the middle of what is sent next
};

}  // namespace ringraft::sim
