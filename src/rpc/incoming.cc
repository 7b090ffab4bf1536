#include "rpc/incoming.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/format.h"
#include "base/try.h"
#include "rpc/admin_codec.h"
#include "rpc/admin_session.h"
#include "rpc/reply.h"
#include "rpc/handshake.h"
#include "rpc/keep_alive.h"

namespace ringraft::rpc {
namespace {

// A handshake consists of a bootstrap, a call, and the messages that finish both.
constexpr size_t kHandshakeBytes = 4096;
constexpr uint64_t kHandshakeMessages = 16;
// An operator sends less than a peer, and one call at a time.
constexpr size_t kAdminBytes = size_t{8} << 20;
constexpr uint64_t kAdminCalls = 16;

StreamLimits HandshakeLimits() { return StreamLimits{kHandshakeBytes, kHandshakeMessages, kHandshakeMessages}; }

capnp::MessageSize ReplySize(const Result<AppendEntriesResults>&) { return capnp::MessageSize{64, 0}; }
capnp::MessageSize ReplySize(const Result<RequestVoteResults>&) { return capnp::MessageSize{64, 0}; }
capnp::MessageSize ReplySize(const Result<ForwardResults>& result) { return SizeHint(result); }
capnp::MessageSize ReplySize(const Result<BootstrapResults>& result) { return SizeHint(result); }

template <class Context, class Results>
void EncodeReply(Context& context, const Result<Results>& result) {
  Encode(result, context.getResults(ReplySize(result)).initResults());
}

template <class Results, class Context>
Task<void> Serve(Task<Result<Results>> call, Reply<Context> reply) {
  Result<Results> result = co_await call;
  reply.Send([&result](Context& context) { EncodeReply(context, result); });
}

NodeId Sender(const AppendEntriesArgs& args) { return args.leader_id; }
NodeId Sender(const RequestVoteArgs& args) { return args.candidate_id; }

}  // namespace

// The calls that a peer may make once its handshake has succeeded.
class PeerSession final : public schema::Session::Server {
 public:
  explicit PeerSession(std::shared_ptr<IncomingConnection::Handle> handle) : handle_(std::move(handle)) {}

  kj::Promise<void> appendEntries(AppendEntriesContext context) override {
    return Dispatch<AppendEntriesArgs>(kj::mv(context), &RpcService::AppendEntries);
  }
  kj::Promise<void> requestVote(RequestVoteContext context) override {
    return Dispatch<RequestVoteArgs>(kj::mv(context), &RpcService::RequestVote);
  }
  kj::Promise<void> forward(ForwardContext context) override {
    return Dispatch<ForwardArgs>(kj::mv(context), &RpcService::Forward);
  }
  kj::Promise<void> bootstrap(BootstrapContext context) override {
    return Dispatch<BootstrapArgs>(kj::mv(context), &RpcService::Bootstrap);
  }

 private:
  // Runs the first part of the service's coroutine before it returns: calls start in the order in which they arrive.
  template <class Args, class Results, class Context>
  kj::Promise<void> Dispatch(Context context, Task<Result<Results>> (RpcService::*method)(Args)) {
    if (handle_->has_ended()) return ConnectionEnded();
    IncomingConnection* connection = handle_->connection;
    AllowCancellation(context);
    Result<Args> args = Decode(context.getParams().getArgs());
    context.releaseParams();
    if (!args) return Refuse<Results>(*connection, context, args.error());
    if constexpr (std::is_same_v<Args, AppendEntriesArgs> || std::is_same_v<Args, RequestVoteArgs>) {
      if (Sender(args.value()) != connection->peer_->node)
        return Refuse<Results>(*connection, context,
                               Error(Errc::kProtocol, "it sent a request in the name of another node"));
    }
    IncomingContext& shared = connection->context_;
    if (args.value().to != shared.identity().node) {
      EncodeReply(context, Result<Results>(Error(Errc::kWrongNode)));
      return kj::READY_NOW;
    }
    Result<void> known = shared.service.OnCall(*connection->peer_);
    if (!known) return Refuse<Results>(*connection, context, known.error());
    Reply<Context> reply;
    auto promise = kj::newAdaptedPromise<void, PendingReply<Context>>(reply, kj::mv(context));
    Task<Result<Results>> call = (shared.service.*method)(std::move(args).assume_value());
    shared.calls.Start(Serve<Results, Context>(std::move(call), std::move(reply)));
    return promise;
  }

  // Replies with the error's code, and then ends the connection: the peer sent what no peer may send.
  template <class Results, class Context>
  kj::Promise<void> Refuse(IncomingConnection& connection, Context& context, const Error& error) {
    connection.context_.log.Warn(fmt::format("refused a call of node {} ({}) and closed the connection: {}",
                                             connection.peer_->node, connection.Where(), error.message()));
    connection.messages_.EndAfterReply();
    connection.context_.loop.Schedule(connection,
                                      connection.context_.loop.Now() + connection.context_.options.idle_handshake);
    EncodeReply(context, Result<Results>(Error(error.code())));
    return kj::READY_NOW;
  }

  std::shared_ptr<IncomingConnection::Handle> handle_;
};

// The calls that need no handshake: the two handshakes themselves.
class Door final : public schema::Door::Server {
 public:
  explicit Door(std::shared_ptr<IncomingConnection::Handle> handle) : handle_(std::move(handle)) {}

  kj::Promise<void> handshake(HandshakeContext context) override {
    if (handle_->has_ended()) return ConnectionEnded();
    IncomingConnection* connection = handle_->connection;
    AllowCancellation(context);
    Welcome welcome;
    Result<Hello> hello = Decode(context.getParams().getHello());
    Result<void> shaken = hello ? connection->Shake(hello.value()) : Result<void>(hello.error());
    if (!shaken) {
      welcome.errc = shaken.error().code();
      connection->context_.log.Warn(fmt::format("refused a connection: {}", shaken.error().message()));
    }
    welcome.version = kProtocolVersion;
    welcome.from = connection->context_.identity();
    auto reply = context.getResults(capnp::MessageSize{128, 1}).initWelcome();
    Encode(welcome, reply);
    if (shaken) reply.setSession(kj::heap<PeerSession>(handle_));
    return kj::READY_NOW;
  }

  kj::Promise<void> admin(AdminContext context) override {
    if (handle_->has_ended()) return ConnectionEnded();
    IncomingConnection* connection = handle_->connection;
    AllowCancellation(context);
    Result<AdminHello> hello = Decode(context.getParams().getHello());
    Result<AdminService*> admitted = hello ? connection->Admit(hello.value()) : Result<AdminService*>(hello.error());
    const Error refusal = admitted ? Error() : admitted.error();
    if (!admitted)
      connection->context_.log.Warn(
          fmt::format("refused the operator at {}: {}", connection->Where(), refusal.message()));
    auto welcome = context.getResults(SizeHint(refusal)).initWelcome();
    welcome.setVersion(kProtocolVersion);
    Encode(refusal, welcome.initOutcome());
    if (admitted) welcome.setAdmin(kj::heap<AdminSession>(handle_, *admitted.value()));
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<IncomingConnection::Handle> handle_;
};

IncomingConnection::IncomingConnection(IncomingContext& context, kj::Own<kj::AsyncIoStream> stream)
    : context_(context),
      handle_(std::make_shared<Handle>(Handle{this})),
      stream_(kj::mv(stream)),
      messages_(context.loop, *stream_, Side::kServer, HandshakeLimits(), *this),
      network_(messages_, capnp::rpc::twoparty::Side::SERVER),
      rpc_(capnp::makeRpcServer(network_, capnp::Capability::Client(kj::heap<Door>(handle_)))) {
  KeepAlive(*stream_);
  context_.loop.Schedule(*this, context_.loop.Now() + context_.options.idle_handshake);
}

IncomingConnection::~IncomingConnection() noexcept {
  handle_->connection = nullptr;
  has_ended_ = true;
}

// The version comes first: the meaning of the other fields in another version is unknown.
Result<void> IncomingConnection::CheckHello(const Hello& hello) {
  const std::string where = fmt::format("the peer at {}", Where());
  RINGRAFT_TRYV(CheckVersion(hello.version, where));
  const Identity self = context_.identity();
  if (hello.to != self.node)
    return Error(Errc::kWrongNode,
                 fmt::format("node {} at {} wants to reach node {}, but this is node {}; correct the address or the ID "
                             "in its configuration",
                             hello.from.node, Where(), hello.to, self.node));
  RINGRAFT_TRYV(CheckCluster(self.cluster, hello.from.cluster, where));
  if (!hello.from.node) return Error(Errc::kProtocol, fmt::format("{} sent no node ID", where));
  return Success();
}

// A connection belongs to a peer or to an operator, and has one handshake.
Result<void> IncomingConnection::CheckFirst() {
  if (!peer_ && !is_operators_) return Success();
  return Error(Errc::kProtocol, fmt::format("the peer at {} sent a second handshake on one connection", Where()));
}

Result<AdminService*> IncomingConnection::Admit(const AdminHello& hello) {
  RINGRAFT_TRYV(CheckFirst());
  RINGRAFT_TRYV(CheckVersion(hello.version, fmt::format("the tool at {}", Where())));
  RINGRAFT_TRY(admin, context_.service.Admin(hello.group));
  is_operators_ = true;
  context_.loop.Cancel(*this);
  messages_.SetLimits(StreamLimits{std::min(context_.options.max_message_bytes, kAdminBytes), UINT64_MAX,
                                   std::min(context_.options.max_calls_per_connection, kAdminCalls)});
  return admin;
}

Result<void> IncomingConnection::Shake(const Hello& hello) {
  RINGRAFT_TRYV(CheckFirst());
  RINGRAFT_TRYV(CheckHello(hello));
  RINGRAFT_TRYV(context_.service.OnHandshake(hello.from));
  peer_ = hello.from;
  context_.loop.Cancel(*this);
  messages_.SetLimits(
      StreamLimits{context_.options.max_message_bytes, UINT64_MAX, context_.options.max_calls_per_connection});
  return Success();
}

void IncomingConnection::OnStreamEnded(const char* violation) {
  if (violation != nullptr)
    context_.log.Warn(fmt::format("closed the connection of the peer at {}: {}", Where(), violation));
  End();
}

// The handshake took too long, or the last reply of a refused connection.
void IncomingConnection::OnTimer() {
  if (!peer_)
    context_.log.Warn(
        fmt::format("closed the connection of the peer at {}: no handshake within idle_handshake", Where()));
  End();
}

void IncomingConnection::End() {
  if (has_ended_) return;
  has_ended_ = true;
  context_.on_connection_ended();
}

std::string IncomingConnection::Where() {
  sockaddr_storage address{};
  unsigned length = sizeof address;
  try {
    stream_->getpeername(reinterpret_cast<sockaddr*>(&address), &length);
  } catch (const kj::Exception&) {
    return "an unknown address";
  }
  char text[INET6_ADDRSTRLEN] = "?";
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(v4.sin_port));
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
}

}  // namespace ringraft::rpc
