// The calling half of the transport: for each peer three lanes, each a connection of its own that is opened on demand,
// so that votes and heartbeats never wait behind data, and data not behind forwarded commands. Owned by the transport;
// calls that are waiting keep what they need of it alive.
//
//   lane:  idle --(a call)--> connecting --(handshake)--> connected --(end of the connection)--+
//           ^                     |                                                            |
//           |                     +--(failure)-------> failing: calls fail at once <-----------+
//           +------------------------(retry_delay over, a call)----+
#pragma once

#include <array>
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

// What all lanes share. Calls that wait keep it; `Close` of the client leaves it empty of connections.
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

// A peer at an address. Its lanes log what changes, once for all three.
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
  std::string last_failure_;  // as it was logged; empty while the peer is reached
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
  // Connects if need be. After a success `connection()` may be used until the next suspension; callers go on in the
  // order in which they came. Errors: kUnreachable, kWrongNode, kWrongCluster, kWrongVersion, kProtocol: nothing was
  // sent.
  static Task<Result<void>> Ready(std::shared_ptr<LaneClient> lane);
  OutgoingConnection& connection() { return *connection_; }
  // Is whom we are connected to still who we want to speak to? See RpcService::OnCall. If not, the connection ends:
  // when the peer has been started again, the machine that the old start ran on may have vanished without a word, and
  // nobody else would find that out, since nothing is sent any more.
  Result<void> CheckPeer();

  bool is_used() const { return waiting_ > 0 || is_connecting_ || (connection_ != nullptr && connection_->is_used()); }
  void Close();

 private:
  Task<void> Connect();
  Task<Result<void>> Shake(TimePoint deadline);
  Result<void> CheckWelcome(const Welcome& welcome);
  void SetFailure(const Error& error);
  void OnConnectionEnded(const char* why) override;
  void OnTurnEnd() override {
    if (connection_ != nullptr && connection_->has_ended()) DropConnection();
  }
  void DropConnection();

  std::shared_ptr<Link> link_;
  const Lane lane_;
  coro::Loop& loop_;
  coro::Scope& connecting_;
  std::unique_ptr<OutgoingConnection> connection_;
  Identity peer_;  // of the connection
  bool is_connecting_ = false;
  bool is_closed_ = false;
  size_t waiting_ = 0;     // callers inside Ready
  coro::Signal progress_;  // an attempt has ended, or the client was closed
  Error failure_;          // of the last attempt or connection
  TimePoint retry_at_ = TimePoint::min();
};

class Client {
 public:
  Client(reactor::Host& host, const RpcOptions& options, Logger& logger);
  ~Client();

  void Register(RpcService& service, std::function<Identity()> identity);
  // In a turn, but not from inside a call of the service.
  void Close();

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
