#include "kv/server.h"

#include <fmt/format.h>

#include <utility>

#include "reactor/connect.h"

namespace ringraft::kv {
namespace {

constexpr size_t kMaxClients = 10'000;  // Redis's default
// Below Limits::max_waiting_bytes and the largest message between peers, which the replies to forwarded commands must
// fit in.
constexpr size_t kMaxInFlight = size_t{48} << 20;

}  // namespace

Server::Server(coro::Loop& loop, reactor::Poller& poller, Raft& raft, const KeyValueStore& store,
               const KvOptions& options)
    : loop_(loop),
      poller_(poller),
      logger_(*options.raft.logger),
      budget_(loop, kMaxInFlight),
      context_{loop, raft, store, facts_, budget_, options.deadline, options.raft.limits.max_command_bytes},
      connection_ended_(loop),
      scope_(loop) {
  facts_.status = [&raft] { return raft.Status(); };
  facts_.key_count = [&store] { return store.key_count(); };
  facts_.started = Clock::now();
  facts_.data_dir = options.raft.data_dir;
  facts_.max_command_bytes = context_.max_command_bytes;
}

Result<void> Server::Listen(const Addr& addr, const reactor::SocketAddresses& addresses) {
  auto listeners = reactor::ListenOnAll(poller_, addr, addresses);
  if (!listeners) return listeners.error();
  listeners_ = std::move(listeners).value();
  const std::string bound = listeners_.front().BoundAddr().text();
  facts_.port = static_cast<uint16_t>(ParseInteger(std::string_view(bound).substr(bound.rfind(':') + 1)).value_or(0));
  return Success();
}

void Server::Start() {
  for (reactor::Listener& listener : listeners_) scope_.Start(Accept(listener));
}

Task<void> Server::Accept(reactor::Listener& listener) {
  while (true) {
    auto accept = listener.Accept();
    auto accepted = co_await accept;
    if (!accepted) {
      if (!context_.is_stopping) logger_.Write(LogLevel::kError, "no more clients: " + accepted.error().message());
      co_return;
    }
    if (facts_.sessions.size() < kMaxClients) {
      scope_.Start(Serve(std::move(accepted).value()));
      continue;
    }
    reactor::Socket refused = std::move(accepted).value();
    const std::string_view text = "-ERR max number of clients reached\r\n";
    auto write = refused.Write(text);
    [[maybe_unused]] const auto written = co_await write;  // it is closed either way
  }
}

Task<void> Server::Serve(reactor::Socket socket) {
  {
    Connection connection(context_, std::move(socket));
    connections_.PushBack(connection);
    auto run = connection.Run();
    co_await run;
  }
  connection_ended_.Notify();
}

Task<void> Server::Stop(Duration bound) {
  context_.is_stopping = true;
  for (reactor::Listener& listener : listeners_) listener.Close();
  for (Connection* connection = connections_.front(); connection != nullptr;
       connection = connections_.Next(*connection)) {
    connection->FinishSoon();
  }
  const TimePoint end = loop_.Now() + bound;
  while (!connections_.empty() && loop_.Now() < end) {
    auto ended = connection_ended_.WaitUntil(end);
    co_await ended;
  }
  scope_.Cancel();
}

}  // namespace ringraft::kv
