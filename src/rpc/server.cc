#include "rpc/server.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/try.h"

namespace ringraft::rpc {

// The pause after a failed accept: usually the process is out of file descriptors, which does not change at once.
constexpr auto kAcceptRetry = std::chrono::milliseconds(50);

Server::Server(reactor::Host& host, const RpcOptions& options, Logger& logger)
    : host_(host),
      loop_(host.loop()),
      options_(options),
      log_(host.loop(), logger),
      calls_(host.loop()),
      accepting_(host.loop()) {}

Server::~Server() { Close(); }

Result<void> Server::Listen(const Addr& addr) {
  if (is_closed_) return Errc::kStopped;
  RINGRAFT_TRY(listener, host_.network().Listen(addr));
  listener_ = std::move(listener);
  return Success();
}

void Server::Register(RpcService& service, std::function<Identity()> identity) {
  service_ = &service;
  identity_ = std::move(identity);
}

Result<void> Server::Serve() {
  if (is_closed_) return Errc::kStopped;
  if (listener_ == nullptr || service_ == nullptr)
    return Error(Errc::kInvalidArgument, "Serve was called before Listen and Register; call those first");
  if (context_) return Error(Errc::kRanRepeatedly, "Serve was called twice");
  context_.emplace(
      IncomingContext{loop_, options_, log_, *service_, identity_, calls_, [this]() { loop_.AtTurnEnd(*this); }});
  coro::Loop::Entered entered(loop_);
  accepting_.Start(AcceptLoop());
  return Success();
}

Task<void> Server::AcceptLoop() {
  while (true) {
    auto accepting = listener_->Accept();
    Result<reactor::KjStream> accepted = co_await accepting;
    if (accepted) {
      Accept(std::move(accepted).assume_value());
      continue;
    }
    log_.Warn(fmt::format("cannot accept a connection: {}", accepted.error().message()));
    auto pause = loop_.SleepUntil(loop_.Now() + kAcceptRetry);
    co_await pause;
  }
}

void Server::Accept(reactor::KjStream stream) {
  if (connections_.size() >= options_.max_connections) {
    log_.Warn(
        fmt::format("closed a new connection: there are already {} incoming connections (the limit, max_connections)",
                    connections_.size()));
    return;
  }
  connections_.push_back(std::make_unique<IncomingConnection>(*context_, stream.Take()));
}

void Server::OnTurnEnd() {
  std::erase_if(connections_, [](const auto& connection) { return connection->has_ended(); });
}

// Connections first: what the service's coroutines send while they are destroyed is discarded.
void Server::Close() {
  if (is_closed_) return;
  is_closed_ = true;
  coro::Loop::Entered entered(loop_);
  accepting_.Cancel();
  listener_.reset();
  connections_.clear();
  calls_.Cancel();
}

}  // namespace ringraft::rpc
