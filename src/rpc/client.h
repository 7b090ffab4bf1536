// The calling half of the transport: three lanes to each peer, each a connection of its own that is opened on demand,
// so that votes and heartbeats never queue after data, nor data after forwarded commands. Owned by the transport;
// waiting calls keep alive what they need of it.
//
//   lane:  idle --(a call)--> connecting --(handshake)--> connected --(end of the connection)--+
//                               ^  |                                                           |
//                               |  +--(failure)------> failing: calls fail at once <-----------+
//                               +----(a call after retry_delay)---+
//
// A connection for heartbeats and votes that brings nothing is retired: another one takes its place at once, and the
// calls that may still get a reply keep the old one open.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "coro/scope.h"
#include "coro/signal.h"
#include "reactor/host.h"
#include "ringraft/rpc.h"
#include "rpc/codec.h"
#include "rpc/outgoing.h"

namespace ringraft::rpc {

// Shared by all lanes. Waiting calls keep it alive, beyond Client::Close, too.
struct ClientContext {
  ClientContext(reactor::Host& host, const RpcOptions& options, Logger& logger)
      : host(host), loop(host.loop()), options(options), logger(logger) {}

  reactor::Host& host;
  coro::Loop& loop;
  const RpcOptions options;
  Logger& logger;
  RpcService* service = nullptr;
  std::function<Identity()> identity;
};

// A peer at an address. Logs each change of its state once for all three lanes.
class Link {
 public:
  Link(std::shared_ptr<ClientContext> context, Addr addr, NodeId to)
      : context_(std::move(context)), addr_(std::move(addr)), to_(to) {}

  const Addr& addr() const { return addr_; }
  NodeId to() const { return to_; }
  ClientContext& context() { return *context_; }
  std::string Name() const;

  void OnConnected(const Identity& peer);
  void OnFailure(const Error& error);

 private:
  std::shared_ptr<ClientContext> context_;
  Addr addr_;
  NodeId to_;
  std::string last_failure_;  // as logged; empty while the peer is reachable
  bool was_connected_ = false;
};

// One lane to one peer.
class LaneClient final : private OutgoingConnection::Owner, private coro::TurnEndNode {
 public:
  LaneClient(std::shared_ptr<Link> link, Lane lane, coro::Scope& connecting);
  ~LaneClient() noexcept override;

  coro::Loop& loop() { return loop_; }
  const RpcOptions& options() { return link_->context().options; }
  bool IsReady() const { return waiting_ == 0 && IsConnected(); }
  bool IsConnected() const { return connection_ != nullptr && !is_connecting_ && !connection_->has_ended(); }
  // Connects if necessary. After success `connection()` may be used until the next suspension; callers resume in the
  // order in which they came. Errors: those of the handshake, kUnreachable, kStopped; nothing was sent. Cancelling
  // takes the caller out of the queue; the attempt to connect continues.
  static Task<Result<void>> Ready(std::shared_ptr<LaneClient> lane);
  OutgoingConnection& connection() { return *connection_; }
  // Returns the error of RpcService::OnCall if the connected peer is no longer the expected one, and then ends the
  // connection. Otherwise it could stay open: if the peer was restarted elsewhere, the machine of the old start may
  // have vanished without closing it, and no timeout detects that, since nothing more is sent.
  Result<void> CheckPeer();

  bool is_used() const {
    return waiting_ > 0 || is_connecting_ || (connection_ != nullptr && connection_->is_used()) || !retired_.empty();
  }
  void Close();

 private:
  Task<void> Connect();
  Task<Result<void>> Shake(TimePoint deadline);
  Result<void> CheckWelcome(const Welcome& welcome);
  void SetFailure(const Error& error);
  void StartConnecting();
  void OnConnectionEnded(OutgoingConnection& connection, const char* why) override;
  void OnConnectionSilent(OutgoingConnection& connection) override;
  void OnTurnEnd() override;
  void DropConnection();
  static void Drop(std::unique_ptr<OutgoingConnection>& connection, const Error& error);

  std::shared_ptr<Link> link_;
  const Lane lane_;
  coro::Loop& loop_;
  coro::Scope& connecting_;
  std::unique_ptr<OutgoingConnection> connection_;
  static constexpr size_t kMaxRetired = 4;
  std::deque<std::unique_ptr<OutgoingConnection>> retired_;  // the oldest first
  Identity peer_;  // at the other end of the connection
  bool is_connecting_ = false;
  bool is_closed_ = false;
  size_t waiting_ = 0;     // callers inside Ready
  coro::Signal progress_;  // notified when an attempt has ended, or the client is closed
  Error failure_;          // of the last attempt or connection
  TimePoint retry_at_ = TimePoint::min();
};

class Client {
 public:
  Client(reactor::Host& host, const RpcOptions& options, Logger& logger);
  ~Client();

  void Register(RpcService& service, std::function<Identity()> identity);
  // Ends all calls with kStopped. Called in a turn, but not from inside a call of the service.
  void Close();

  // Cancelling a call drops its reply; a request that has been sent may still take effect.
  Task<Result<AppendEntriesResults>> AppendEntries(Addr addr, AppendEntriesArgs args);
  Task<Result<RequestVoteResults>> RequestVote(Addr addr, RequestVoteArgs args);
  Task<Result<BootstrapResults>> Bootstrap(Addr addr, BootstrapArgs args);
  Task<Result<ForwardResults>> Forward(Addr addr, ForwardArgs args);

  size_t links() const { return lanes_.size(); }

 private:
  using Lanes = std::array<std::shared_ptr<LaneClient>, kLanes>;
  struct Entry {
    Lanes lanes;
    TimePoint last_used;
  };

  std::shared_ptr<LaneClient> FindLane(const Addr& addr, NodeId to, Lane lane);
  void DropUnused(TimePoint now);

  std::shared_ptr<ClientContext> context_;
  std::map<std::pair<Addr, NodeId>, Entry> lanes_;
  coro::Scope connecting_;
  bool is_closed_ = false;
};

}  // namespace ringraft::rpc
