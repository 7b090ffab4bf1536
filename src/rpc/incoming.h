// One incoming connection, from the first byte to the last. Owned by the server.
//
//        accepted --(handshake checked)--> in session --(refused message)--> replying to it --> ended
//            \_____ deadline, violation, end of stream ____/_________________________/
//
// An operator's tool has a handshake and a session of its own (admin_session.h).
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/rpc-twoparty.h>
#include <peer.capnp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "coro/loop.h"
#include "coro/scope.h"
#include "ringraft/rpc.h"
#include "rpc/admin_codec.h"
#include "rpc/codec.h"
#include "rpc/message_stream.h"
#include "rpc/rate_limited_log.h"

namespace ringraft::rpc {

// Shared by all incoming connections. Owned by the server; outlives them.
struct IncomingContext {
  coro::Loop& loop;
  const RpcOptions& options;
  RateLimitedLog& log;
  RpcService& service;
  const std::function<Identity()>& identity;
  coro::Scope& calls;                         // of the service; a call may outlive its connection
  std::function<void()> on_connection_ended;  // makes the server drop it later in the turn
};

class IncomingConnection final : private MessageStream::Owner, private coro::TimerNode {
 public:
  IncomingConnection(IncomingContext& context, kj::Own<kj::AsyncIoStream> stream);
  ~IncomingConnection() noexcept override;

  bool has_ended() const { return has_ended_; }

 private:
  friend class Door;
  friend class PeerSession;
  friend class AdminSession;
  // The capabilities' reference to the connection: Cap'n Proto may keep them a little longer than the connection lives.
  struct Handle {
    IncomingConnection* connection;  // null once it has been destroyed
    bool has_ended() const { return connection == nullptr || connection->has_ended(); }
  };

  Result<void> CheckHello(const Hello& hello);
  Result<void> CheckFirst();
  Result<void> Shake(const Hello& hello);
  Result<AdminService*> Admit(const AdminHello& hello);
  void OnStreamEnded(const char* violation) override;
  void OnTimer() override;
  void End();
  std::string Where();

  IncomingContext& context_;
  bool has_ended_ = false;
  std::optional<Identity> peer_;  // set once a peer's handshake has succeeded
  bool is_operators_ = false;     // an operator's tool has been admitted
  std::shared_ptr<Handle> handle_;
  kj::Own<kj::AsyncIoStream> stream_;
  MessageStream messages_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
};

}  // namespace ringraft::rpc
