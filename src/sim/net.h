// The simulated network: connections between hosts as ordered streams of bytes with latency, and everything that can
// befall them. A connection that is cut keeps what was sent, as TCP does, and sends it again after the cut; the ends
// notice nothing until then (a half-open connection).
#pragma once

#include <kj/async-io.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/host.h"
#include "sim/host.h"
#include "sim/world.h"

namespace ringraft::sim {

struct NetFaults {
  Nanos least_latency = 50 * kMicro;
  Nanos most_latency = 400 * kMicro;
  double spike = 0;  // of the transmissions that take up to most_spike
  Nanos most_spike = 50 * kMilli;
  int64_t bytes_per_second = 1'000'000'000;
  double tear = 0;               // of the transmissions that arrive in two parts
  Nanos most_tear = 5 * kMilli;  // between the two
  double refuse = 0;             // of the connections that are never answered
};

class Connection;

class Net {
 public:
  explicit Net(World& world) : world_(world) {}
  ~Net();
  Net(const Net&) = delete;

  std::unique_ptr<reactor::Network> MakeNetwork(SimHost& host);
  void SetFaults(const NetFaults& faults) { faults_ = faults; }

  // One direction between two addresses. Cuts are counted: it is whole again when each of them has been mended.
  void Cut(const std::string& from, const std::string& to) { ++cuts_[{from, to}]; }
  void Mend(const std::string& from, const std::string& to);
  void MendAll();
  bool IsCut(const std::string& from, const std::string& to) const { return cuts_.contains({from, to}); }
  // That much is added to the latency from one to the other, to what others have added. `SpeedUp` takes it back.
  void Slow(const std::string& from, const std::string& to, Nanos more) { slow_[{from, to}] += more; }
  void SpeedUp(const std::string& from, const std::string& to, Nanos more) { slow_[{from, to}] -= more; }
  void SpeedUpAll() { slow_.clear(); }

  // A reset arrives at both ends: behind what is on the way, before it, or in the middle of the next message.
  bool ResetOne();
  // All connections of a host: it is dead. Its peers hear of it (a reset) or not (`silent`).
  void OnHostGone(SimHost& host, bool is_silent);
  // Connections from nobody: silent, or with bytes that mean nothing. False if nobody listens.
  bool Storm(const std::string& to, size_t count);
  // One of them, with these bytes, and the end of the stream behind them.
  void Send(const std::string& to, std::string bytes);
  // Hears everything that is sent, as it is sent.
  std::function<void(const std::string& from, const std::string& to, std::string_view bytes)> on_bytes;
  // A machine came back at this address, and knows nothing of its old connections: what is sent on them, or was sent
  // and never arrived, is answered with a reset. Those on which nothing is said stay half-open.
  void OnHostBack(const std::string& address);

  size_t connections() const { return connections_.size(); }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t messages_cut() const { return messages_cut_; }  // by resets, in their middle

 private:
  friend class Connection;
  friend class HostNetwork;
  class Listener;

  std::shared_ptr<Connection> FromNobody(Listener& listener, const std::string& to);
  Nanos Latency(const std::string& from, const std::string& to);
  Listener* FindListener(const std::string& address);
  bool IsListening(const std::string& address) { return FindListener(address) != nullptr; }

  World& world_;
  NetFaults faults_;
  std::map<std::pair<std::string, std::string>, uint64_t> cuts_;  // how many hold it
  std::map<std::pair<std::string, std::string>, Nanos> slow_;
  std::map<std::string, Listener*> listeners_;
  std::map<uint64_t, std::shared_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  uint64_t bytes_sent_ = 0;
  uint64_t messages_cut_ = 0;
};

}  // namespace ringraft::sim
