// One connection that a peer has opened to us, from the first byte to the last. Owned by the server.
//
//        accepted --(handshake checked)--> in session --(refused message)--> answering it --> ended
//            \_____ deadline, violation, end of stream ____/_______________________/
//
// An operator's tool is let in by another door, and has a session of another kind (admin_session.h).
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

#include "coro/scope.h"
#include "coro/loop.h"
#include "ringraft/rpc.h"
#include "rpc/admin_codec.h"
#include "rpc/codec.h"
#include "rpc/message_stream.h"
#include "rpc/rate_limited_log.h"

namespace ringraft::rpc {

// What all incoming connections share. Owned by the server, outlives them.
struct IncomingContext {
  coro::Loop& loop;
  const RpcOptions& options;
  RateLimitedLog& log;
  RpcService& service;
  const std::function<Identity()>& identity;
  coro::Scope& calls;                         // of the service; a call outlives the connection that it came from
  std::function<void()> on_connection_ended;  // drop it later in the turn
};

class IncomingConnection final : private MessageStream::Owner, private coro::TimerNode {
 public:
  IncomingConnection(IncomingContext& context, kj::Own<kj::AsyncIoStream> stream);
  ~IncomingConnection() noexcept override;

  bool has_ended() const { return has_ended_; }

 private:
  friend class Door;
  friend class Session;
  friend class AdminSession;
  // What capabilities hold of the connection: Cap'n Proto may keep them a little longer than the connection lives.
  struct Handle {
    IncomingConnection* connection;
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
  std::optional<Identity> peer_;  // once the handshake has succeeded
  bool is_operators_ = false;     // an operator's tool has been let in
  std::shared_ptr<Handle> handle_;
  kj::Own<kj::AsyncIoStream> stream_;
  MessageStream messages_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
};

}  // namespace ringraft::rpc
