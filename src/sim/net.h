// The simulated network: connections between hosts as ordered streams of bytes with latency, and their faults. A
// connection across a cut keeps what was sent, as TCP does, and sends it again after the cut; until then the ends
// notice nothing (a half-open connection).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "reactor/host.h"
#include "sim/connection.h"
#include "sim/host.h"
#include "sim/links.h"
#include "sim/world.h"

namespace ringraft::sim {

class Net final : public NetworkFactory, private ConnectionOwner {
 public:
  explicit Net(World& world) : world_(world), links_(world) {}
  ~Net() override;
  Net(const Net&) = delete;

  std::unique_ptr<reactor::Network> MakeNetwork(SimHost& host) override;
  void SetFaults(const NetFaults& faults) { links_.SetFaults(faults); }

  // --- links (see Links) ---
  void Cut(const std::string& from, const std::string& to) { links_.Cut(from, to); }
  // What is stalled at the last cut of a link is retransmitted some time later.
  void Mend(const std::string& from, const std::string& to);
  void MendAll();
  bool IsCut(const std::string& from, const std::string& to) const { return links_.IsCut(from, to); }
  void Slow(const std::string& from, const std::string& to, Nanos more) { links_.Slow(from, to, more); }
  void SpeedUp(const std::string& from, const std::string& to, Nanos more) { links_.SpeedUp(from, to, more); }
  void SpeedUpAll() { links_.SpeedUpAll(); }

  // --- connections ---
  // Resets a connection: the reset arrives at both ends, after what is in flight, before it, or in the middle of the
  // next message. False if there is no connection.
  bool ResetOne();
  // Opens `count` connections from outside the cluster: silent ones, and ones that send random bytes. False if no host
  // listens.
  bool Storm(const std::string& to, size_t count);
  // Opens one such connection, sends these bytes, and ends the stream.
  void Send(const std::string& to, std::string bytes);
  // A host has died. Its peers get resets, unless it is silent.
  void OnHostGone(SimHost& host, bool is_silent);
  // A machine is back at this address, and does not know its old connections: what is sent on them, or was sent and
  // never arrived, is answered with a reset. Connections without traffic stay half-open.
  void OnHostBack(const std::string& address);
  // Receives all bytes as they are sent.
  std::function<void(const std::string& from, const std::string& to, std::string_view bytes)> on_bytes;

  size_t connections() const { return connections_.size(); }
  uint64_t messages_cut() const { return messages_cut_; }  // by resets in their middle

 private:
  friend class HostNetwork;
  class Listener;

  // ConnectionOwner
  bool IsListening(const std::string& address) override { return FindListener(address) != nullptr; }
  void OnSend(const std::string& from, const std::string& to, std::string_view bytes) override;
  void OnMessageCut() override { ++messages_cut_; }
  void OnClosed(uint64_t id) override { connections_.erase(id); }

  std::shared_ptr<SimConnection> AddConnection(const std::string& from, const std::string& to);
  std::shared_ptr<SimConnection> ConnectFromOutside(Listener& listener, const std::string& to);
  Listener* FindListener(const std::string& address);

  World& world_;
  Links links_;
  std::map<std::string, Listener*> listeners_;
  std::map<uint64_t, std::shared_ptr<SimConnection>> connections_;
  uint64_t next_connection_ = 1;
  uint64_t messages_cut_ = 0;
};

}  // namespace ringraft::sim
