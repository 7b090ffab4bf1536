#include "rpc/client.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "base/try.h"
#include "rpc/handshake.h"

namespace ringraft::rpc {
namespace {

// Connections to a peer that has not been called for this long are closed when another peer is called for the first
// time: it may have been removed from the cluster.
constexpr auto kUnusedFor = std::chrono::minutes(1);

// Errors that only an operator can fix.
bool IsMismatch(Errc errc) {
  return errc == Errc::kWrongNode || errc == Errc::kWrongCluster || errc == Errc::kWrongVersion ||
         errc == Errc::kProtocol || errc == Errc::kDuplicateNode || errc == Errc::kOldGeneration;
}

// Requests that were sent may have arrived: their outcome is unknown.
Error LostError() { return Error(Errc::kUnknown, "the connection ended before the peer replied"); }

// A caller's place in the queue for a connection.
class InLine {
 public:
  explicit InLine(size_t& waiting) : waiting_(waiting) { ++waiting_; }
  InLine(const InLine&) = delete;
  InLine& operator=(const InLine&) = delete;
  ~InLine() { --waiting_; }

 private:
  size_t& waiting_;
};

template <class Results, class Args>
Task<Result<Results>> RunCall(std::shared_ptr<LaneClient> lane, Args args, Duration timeout) {
  // The peer would close the connection on a larger message, and all calls on it would be lost.
  const size_t bytes = MessageBytes(args);
  if (bytes > lane->options().max_message_bytes)
    co_return Error(Errc::kTooLarge,
                    fmt::format("a message of {} bytes exceeds max_message_bytes ({}); send less at once, or raise the "
                                "limit on all nodes",
                                bytes, lane->options().max_message_bytes));
  if (!lane->IsReady()) {
    auto getting_ready = LaneClient::Ready(lane);
    Result<void> ready = co_await getting_ready;
    RINGRAFT_CO_TRYV(ready);
  }
  if (Result<void> known = lane->CheckPeer(); !known) co_return Error(Errc::kWrongNode, known.error().message());
  Call<Results> call(lane->loop(), lane->loop().Now() + timeout);
  lane->connection().Send(call, args);
  auto done = call.Done();
  co_await done;
  co_return call.Take();
}

template <class Results>
Task<Result<Results>> Stopped() {
  co_return Error(Errc::kStopped);
}

}  // namespace

// --- Link ---

std::string Link::Name() const { return fmt::format("the peer at {}", addr_); }

void Link::OnConnected(const Identity& peer) {
  if (was_connected_ && last_failure_.empty()) return;
  was_connected_ = true;
  last_failure_.clear();
  context_->logger.Write(LogLevel::kInfo, fmt::format("connected to node {} at {}", peer.node, addr_));
}

// Logs each change once, not every attempt while the peer is unreachable.
void Link::OnFailure(const Error& error) {
  std::string message = error.message();
  if (message == last_failure_) return;
  context_->logger.Write(IsMismatch(error.code()) ? LogLevel::kError : LogLevel::kWarning, message);
  last_failure_ = std::move(message);
}

// --- LaneClient ---

LaneClient::LaneClient(std::shared_ptr<Link> link, Lane lane, coro::Scope& connecting)
    : link_(std::move(link)), lane_(lane), loop_(link_->context().loop), connecting_(connecting), progress_(loop_) {}

LaneClient::~LaneClient() noexcept {
  RINGRAFT_ASSERT(connection_ == nullptr);
  RINGRAFT_ASSERT(retired_.empty());
}

Task<Result<void>> LaneClient::Ready(std::shared_ptr<LaneClient> lane) {
  const bool is_first = lane->waiting_ == 0;
  InLine place(lane->waiting_);
  if (lane->is_closed_) co_return Errc::kStopped;
  if (!lane->IsConnected() && !lane->is_connecting_) {
    if (lane->loop_.Now() < lane->retry_at_) co_return lane->failure_;
    lane->DropConnection();  // one that has ended in this turn
    lane->StartConnecting();
  }
  // Callers that have waited for the attempt are already ready and resume first.
  if (!is_first && !lane->is_connecting_) {
    auto after_them = lane->loop_.Yield();
    co_await after_them;
  }
  while (lane->is_connecting_ && !lane->is_closed_) {
    auto woken = lane->progress_.Wait();
    co_await woken;
  }
  if (lane->is_closed_) co_return Errc::kStopped;
  if (!lane->IsConnected()) co_return lane->failure_;
  co_return Success();
}

void LaneClient::StartConnecting() {
  is_connecting_ = true;
  connecting_.Start(Connect());
}

// Runs in the client's scope, which is cancelled before the lane is closed.
Task<void> LaneClient::Connect() {
  const RpcOptions& options = link_->context().options;
  const TimePoint deadline = loop_.Now() + options.connect_timeout;
  auto connecting = link_->context().host.network().Connect(link_->addr(), options.connect_timeout);
  Result<reactor::KjStream> stream = co_await connecting;
  Result<void> outcome = Success();
  if (stream) {
    connection_ = std::make_unique<OutgoingConnection>(loop_, options, lane_, stream.value().Take(),
                                                       static_cast<OutgoingConnection::Owner&>(*this));
    auto shaking = Shake(deadline);
    outcome = co_await shaking;
  } else {
    outcome = Error(Errc::kUnreachable, fmt::format("cannot reach {}: {}", link_->Name(), stream.error().message()));
  }
  is_connecting_ = false;
  if (!outcome) {
    SetFailure(outcome.error());
    DropConnection();
  }
  progress_.Notify();
}

Task<Result<void>> LaneClient::Shake(TimePoint deadline) {
  Hello hello;
  hello.version = kProtocolVersion;
  hello.from = link_->context().identity();
  hello.to = link_->to();
  hello.lane = lane_;
  Call<Welcome> call(loop_, deadline);
  connection_->Send(call, hello);
  auto done = call.Done();
  co_await done;
  Result<Welcome> welcome = call.Take();
  if (!welcome)
    co_return Error(Errc::kUnreachable,
                    fmt::format("the handshake with {} failed: {}", link_->Name(), welcome.error().message()));
  RINGRAFT_CO_TRYV(CheckWelcome(welcome.value()));
  if (connection_ == nullptr || connection_->has_ended())
    co_return Error(Errc::kUnreachable, fmt::format("{} closed the connection after the handshake", link_->Name()));
  link_->OnConnected(welcome.value().from);
  co_return Success();
}

// Explains a refusal by the first pair of values that differ, if there is one that this side can see.
Result<void> LaneClient::CheckWelcome(const Welcome& welcome) {
  ClientContext& context = link_->context();
  const std::string where = link_->Name();
  const ClusterId ours = context.identity().cluster;
  RINGRAFT_TRYV(CheckVersion(welcome.version, where));
  RINGRAFT_TRYV(CheckNode(link_->to(), welcome.from.node, where));
  // A fresh node may have accepted this node without having stored the cluster yet: then the service decides.
  if (welcome.from.cluster) RINGRAFT_TRYV(CheckCluster(ours, welcome.from.cluster, where));
  // This side, too, can tell which of the two generations is older, and its service has the better text.
  if (welcome.errc == Errc::kOldGeneration) RINGRAFT_TRYV(context.service->OnHandshake(welcome.from));
  if (welcome.errc != Errc::kOk)
    return Error(IsMismatch(welcome.errc) ? welcome.errc : Errc::kUnreachable,
                 fmt::format("{} of cluster {} refuses this node of cluster {}: {}", where,
                             ToString(welcome.from.cluster), ToString(ours), Error(welcome.errc).message()));
  Result<void> met = context.service->OnHandshake(welcome.from);
  // kDuplicateNode is a peer's error about this node. The service's own finding about the peer is kWrongNode.
  if (!met && met.error() == Errc::kDuplicateNode) return Error(Errc::kWrongNode, met.error().message());
  if (met) peer_ = welcome.from;
  return met;
}

void LaneClient::SetFailure(const Error& error) {
  failure_ = error;
  retry_at_ = loop_.Now() + link_->context().options.retry_delay;
  link_->OnFailure(error);
}

void LaneClient::OnConnectionEnded(OutgoingConnection& connection, const char* why) {
  loop_.AtTurnEnd(*this);
  if (&connection != connection_.get()) return;  // a retired one
  if (is_connecting_) return;                    // the call of the handshake fails, and `Connect` handles that
  SetFailure(
      Error(Errc::kUnreachable, fmt::format("lost the {} connection to {}: {}", ToString(lane_), link_->Name(), why)));
}

// The peer may be fine: an attempt to connect tells, and does not wait for retry_delay.
void LaneClient::OnConnectionSilent(OutgoingConnection& connection) {
  RINGRAFT_ASSERT(&connection == connection_.get());
  link_->OnFailure(Error(Errc::kUnreachable, fmt::format("the {} connection to {} brings nothing; opens another one",
                                                         ToString(lane_), link_->Name())));
  connection.Retire();
  retired_.push_back(std::move(connection_));
  if (retired_.size() > kMaxRetired) retired_.front()->End("too many others have taken its place");
  StartConnecting();
}

void LaneClient::OnTurnEnd() {
  if (connection_ != nullptr && connection_->has_ended()) DropConnection();
  for (auto& connection : retired_) {
    if (connection->has_ended()) Drop(connection, LostError());
  }
  std::erase(retired_, nullptr);
}

// Runs in a caller's coroutine, so the connection is dropped at the end of the turn, or by the next call that connects.
// If the peer is still the wrong one, the handshake of that call says more.
Result<void> LaneClient::CheckPeer() {
  Result<void> known = link_->context().service->OnCall(peer_);
  if (!known) connection_->End("the peer is no longer the one of the handshake");
  return known;
}

void LaneClient::DropConnection() { Drop(connection_, LostError()); }

void LaneClient::Drop(std::unique_ptr<OutgoingConnection>& connection, const Error& error) {
  if (connection == nullptr) return;
  connection->Fail(error);
  connection.reset();
}

void LaneClient::Close() {
  is_closed_ = true;
  is_connecting_ = false;
  Drop(connection_, Error(Errc::kStopped));
  for (auto& connection : retired_) Drop(connection, Error(Errc::kStopped));
  retired_.clear();
  progress_.Notify();
}

// --- Client ---

Client::Client(reactor::Host& host, const RpcOptions& options, Logger& logger)
    : context_(std::make_shared<ClientContext>(host, options, logger)), connecting_(host.loop()) {}

Client::~Client() { Close(); }

void Client::Register(RpcService& service, std::function<Identity()> identity) {
  context_->service = &service;
  context_->identity = std::move(identity);
}

void Client::Close() {
  if (is_closed_) return;
  is_closed_ = true;
  coro::Loop::Entered entered(context_->loop);
  connecting_.Cancel();
  for (auto& [key, entry] : lanes_) {
    for (auto& lane : entry.lanes) {
      if (lane != nullptr) lane->Close();
    }
  }
  lanes_.clear();
}

Task<Result<AppendEntriesResults>> Client::AppendEntries(Addr addr, AppendEntriesArgs args) {
  if (is_closed_) return Stopped<AppendEntriesResults>();
  auto lane = FindLane(addr, args.to, args.entries.empty() ? Lane::kControl : Lane::kData);
  return RunCall<AppendEntriesResults>(std::move(lane), std::move(args), context_->options.call_timeout);
}

Task<Result<RequestVoteResults>> Client::RequestVote(Addr addr, RequestVoteArgs args) {
  if (is_closed_) return Stopped<RequestVoteResults>();
  auto lane = FindLane(addr, args.to, Lane::kControl);
  return RunCall<RequestVoteResults>(std::move(lane), std::move(args), context_->options.call_timeout);
}

Task<Result<ForwardResults>> Client::Forward(Addr addr, ForwardArgs args) {
  if (is_closed_) return Stopped<ForwardResults>();
  auto lane = FindLane(addr, args.to, Lane::kForward);
  const Duration timeout = std::min(args.timeout, kMaxForwardTimeout);
  return RunCall<ForwardResults>(std::move(lane), std::move(args), timeout);
}

Task<Result<BootstrapResults>> Client::Bootstrap(Addr addr, BootstrapArgs args) {
  if (is_closed_) return Stopped<BootstrapResults>();
  auto lane = FindLane(addr, args.to, Lane::kControl);
  return RunCall<BootstrapResults>(std::move(lane), std::move(args), context_->options.call_timeout);
}

std::shared_ptr<LaneClient> Client::FindLane(const Addr& addr, NodeId to, Lane lane) {
  RINGRAFT_ASSERT(context_->service != nullptr);  // Register comes before the first call
  const TimePoint now = context_->loop.Now();
  auto found = lanes_.find(std::pair(addr, to));
  if (found == lanes_.end()) {
    DropUnused(now);
    auto link = std::make_shared<Link>(context_, addr, to);
    Entry entry;
    for (size_t i = 0; i < kLanes; ++i)
      entry.lanes[i] = std::make_shared<LaneClient>(link, static_cast<Lane>(i), connecting_);
    found = lanes_.emplace(std::pair(addr, to), std::move(entry)).first;
  }
  found->second.last_used = now;
  return found->second.lanes[static_cast<size_t>(lane)];
}

void Client::DropUnused(TimePoint now) {
  for (auto entry = lanes_.begin(); entry != lanes_.end();) {
    bool is_used = now - entry->second.last_used < kUnusedFor;
    for (auto& lane : entry->second.lanes) is_used |= lane.use_count() > 1 || lane->is_used();
    if (is_used) {
      ++entry;
      continue;
    }
    for (auto& lane : entry->second.lanes) lane->Close();
    entry = lanes_.erase(entry);
  }
}

}  // namespace ringraft::rpc
