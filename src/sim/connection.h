// One simulated TCP connection: two pipes of packets, and a stream at each end.
#pragma once

#include <kj/async-io.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "sim/host.h"
#include "sim/links.h"

namespace ringraft::sim {

class SimStream;

// What a connection needs of its network.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual bool IsListening(const std::string& address) = 0;
  virtual void OnSend(const std::string& from, const std::string& to, std::string_view bytes) = 0;
  virtual void OnMessageCut() = 0;         // by a reset in its middle
  virtual void OnClosed(uint64_t id) = 0;  // at both ends; may drop the connection
};

// Both directions, and both ends. `sender` 0 is the end that connected, 1 the one that accepted.
class SimConnection final : public std::enable_shared_from_this<SimConnection> {
 public:
  enum class Kind { kData, kEnd, kReset };
  struct Packet {
    Kind kind = Kind::kData;
    std::string bytes;
    bool is_rest = false;  // the second part of a write that was torn
  };
  struct End {
    SimHost* host = nullptr;  // null: none, or dead
    std::string address;
    SimStream* stream = nullptr;
    bool was_open = false;  // a stream has existed
  };
  struct Pipe {
    Nanos last_arrival = 0;
    std::deque<Packet> stalled;  // arrived at a cut
    size_t unread = 0;           // bytes sent and not read
    bool is_lost = false;        // something was sent to a dead machine: TCP retransmits when that machine is back
    bool is_reset = false;       // a reset has arrived: what arrives after it, even if sent before, is dropped
  };

  // Both must outlive the connection.
  SimConnection(ConnectionOwner& owner, Links& links, uint64_t id) : owner_(owner), links_(links), id_(id) {}

  // Makes the stream of one end, for its host. Once for each end.
  kj::Own<kj::AsyncIoStream> Open(size_t end);

  void Send(size_t sender, Packet packet);
  void Retransmit(size_t sender);
  void OnRead(size_t reader, size_t bytes);
  void CloseIfOver();  // once both ends are gone
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
  void Arrive(size_t sender, Packet packet);
  void Receive(size_t sender, Packet packet);
  bool IsCut(size_t sender) const { return links_.IsCut(ends[sender].address, ends[1 - sender].address); }
  Nanos DrawLatency(size_t sender) { return links_.DrawLatency(ends[sender].address, ends[1 - sender].address); }

  ConnectionOwner& owner_;
  Links& links_;
  const uint64_t id_;
  bool is_ending_in_message_ = false;  // a reset comes in the middle of the next write
};

}  // namespace ringraft::sim
