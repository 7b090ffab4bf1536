// One outgoing connection to a peer: the handshake, then calls. Owned by its lane (client.h), which drops it later in
// the turn in which it ends, or at once when the transport closes.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/rpc-twoparty.h>
#include <peer.capnp.h>

#include <optional>

#include "base/list.h"
#include "coro/loop.h"
#include "ringraft/rpc.h"
#include "rpc/call.h"
#include "rpc/codec.h"
#include "rpc/message_stream.h"

namespace ringraft::rpc {

class OutgoingConnection final : private MessageStream::Owner, private coro::TimerNode {
 public:
  class Owner {
   public:
    // The owner drops the connection later in the turn. `why` is for the log.
    virtual void OnConnectionEnded(OutgoingConnection& connection, const char* why) = 0;
    // A call has waited for control_timeout, and nothing has arrived since it was sent. The owner retires the
    // connection: it may be dead, or the peer's disk slow.
    virtual void OnConnectionSilent(OutgoingConnection& connection) = 0;

   protected:
    ~Owner() = default;
  };

  OutgoingConnection(coro::Loop& loop, const RpcOptions& options, Lane lane, kj::Own<kj::AsyncIoStream> stream,
                     Owner& owner);
  // Precondition: all calls have ended (see Fail).
  ~OutgoingConnection() noexcept override;

  bool has_ended() const { return has_ended_; }
  bool is_used() const { return !calls_.empty(); }

  // Each sends its request before it returns; the call ends in a later turn, or in a later pass of this one.
  void Send(Call<Welcome>& call, const Hello& hello);
  void Send(Call<AppendEntriesResults>& call, const AppendEntriesArgs& args);
  void Send(Call<RequestVoteResults>& call, const RequestVoteArgs& args);
  void Send(Call<BootstrapResults>& call, const BootstrapArgs& args);
  void Send(Call<ForwardResults>& call, const ForwardArgs& args);

  // Ends all calls with the error.
  void Fail(const Error& error);
  void End(const char* why);
  // It is used no more, and ends with its last call.
  void Retire() { is_retired_ = true; }

 private:
  void Add(CallBase& call);
  void OnStreamEnded(const char* violation) override;
  void OnCallWritten(uint64_t end) override;
  void OnTimer() override;
  void MoveDeadlines(TimePoint now);
  bool EndOverdue(TimePoint now);
  bool IsSilent(TimePoint now);
  void EndHeartbeats();
  TimePoint NextCheck(const CallBase& call, TimePoint now) const;
  void ScheduleCheck(TimePoint at);

  coro::Loop& loop_;
  const RpcOptions& options_;
  const Lane lane_;
  Owner& owner_;
  bool has_ended_ = false;
  bool is_retired_ = false;
  base::List<CallBase> calls_;
  TimePoint timer_at_ = TimePoint::max();
  uint64_t calls_added_ = 0;
  uint64_t calls_written_ = 0;
  uint64_t acked_ = 0;  // bytes of the connection, as of the last look
  kj::Own<kj::AsyncIoStream> stream_;
  const uint64_t acked_before_;  // of making the connection
  MessageStream messages_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  kj::Maybe<schema::Session::Client> session_;  // set once the handshake has succeeded
};

}  // namespace ringraft::rpc
