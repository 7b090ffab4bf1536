#include "rpc/outgoing.h"

#include <capnp/message.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "rpc/acked_bytes.h"
#include "rpc/keep_alive.h"

namespace ringraft::rpc {
namespace {

// An append over a slow link may take this many times call_timeout, while the link moves. The largest message takes so
// long at half a megabyte a second; without a bound a link that moves a byte now and then would hold it forever.
constexpr int kMostTimeouts = 24;
constexpr int kLooksPerTimeout = 4;  // at whether it moves

// A peer sends one reply to each call and makes no calls.
StreamLimits ReplyLimits(const RpcOptions& options) { return StreamLimits{options.max_message_bytes, UINT64_MAX, 0}; }

}  // namespace

OutgoingConnection::OutgoingConnection(coro::Loop& loop, const RpcOptions& options, Lane lane,
                                       kj::Own<kj::AsyncIoStream> stream, Owner& owner)
    : loop_(loop),
      options_(options),
      lane_(lane),
      owner_(owner),
      stream_(kj::mv(stream)),
      acked_before_(AckedBytes(*stream_).value_or(0)),
      messages_(loop, *stream_, Side::kCaller, ReplyLimits(options), *this),
      network_(messages_, capnp::rpc::twoparty::Side::CLIENT),
      rpc_(capnp::makeRpcClient(network_)) {
  KeepAlive(*stream_);
}

OutgoingConnection::~OutgoingConnection() noexcept { RINGRAFT_ASSERT(calls_.empty()); }

void OutgoingConnection::Send(Call<Welcome>& call, const Hello& hello) {
  capnp::MallocMessageBuilder vat;
  auto id = vat.initRoot<capnp::rpc::twoparty::VatId>();
  id.setSide(capnp::rpc::twoparty::Side::SERVER);
  auto door = rpc_.bootstrap(id).castAs<schema::Door>();
  auto request = door.handshakeRequest(capnp::MessageSize{128, 0});
  Encode(hello, request.initHello());
  Add(call);
  call.Start(request.send(), [this](auto& response) {
    auto welcome = response.getWelcome();
    if (welcome.getErrc() != 0) return Decode(welcome);
    // Every call needs the session.
    if (!welcome.hasSession()) return Result<Welcome>(Error(Errc::kProtocol, "its reply has no session"));
    session_ = welcome.getSession();
    return Decode(welcome);
  });
}

void OutgoingConnection::Send(Call<AppendEntriesResults>& call, const AppendEntriesArgs& args) {
  auto request = KJ_ASSERT_NONNULL(session_).appendEntriesRequest(SizeHint(args));
  std::vector<BatchRef> referenced;
  Encode(args, request.initArgs(), referenced);
  messages_.Expect(std::move(referenced));
  call.ends_in_silence = lane_ == Lane::kControl;
  Add(call);
  call.Start(request.send(), [](auto& response) { return Decode(response.getResults()); });
}

void OutgoingConnection::Send(Call<RequestVoteResults>& call, const RequestVoteArgs& args) {
  auto request = KJ_ASSERT_NONNULL(session_).requestVoteRequest(SizeHint(args));
  Encode(args, request.initArgs());
  Add(call);
  call.Start(request.send(), [](auto& response) { return Decode(response.getResults()); });
}

void OutgoingConnection::Send(Call<ForwardResults>& call, const ForwardArgs& args) {
  auto request = KJ_ASSERT_NONNULL(session_).forwardRequest(SizeHint(args));
  Encode(args, request.initArgs());
  Add(call);
  call.Start(request.send(), [](auto& response) { return Decode(response.getResults()); });
}

void OutgoingConnection::Send(Call<BootstrapResults>& call, const BootstrapArgs& args) {
  auto request = KJ_ASSERT_NONNULL(session_).bootstrapRequest(SizeHint(args));
  Encode(args, request.initArgs());
  Add(call);
  call.Start(request.send(), [](auto& response) { return Decode(response.getResults()); });
}

// One timer for all calls. It is not moved when a call ends: OnTimer determines which calls are due.
void OutgoingConnection::Add(CallBase& call) {
  call.number = calls_added_++;
  calls_.PushBack(call);
  ScheduleCheck(NextCheck(call, loop_.Now()));
}

void OutgoingConnection::ScheduleCheck(TimePoint at) {
  if (is_scheduled() && timer_at_ <= at) return;
  timer_at_ = at;
  loop_.Schedule(*this, timer_at_);
}

// When the call is due, or its connection is suspected to be dead, or is to be looked at whether it moves.
TimePoint OutgoingConnection::NextCheck(const CallBase& call, TimePoint now) const {
  if (lane_ == Lane::kData) return std::min(call.deadline, now + options_.call_timeout / kLooksPerTimeout);
  const TimePoint suspect_at = call.sent_at + options_.control_timeout;
  if (lane_ != Lane::kControl || is_retired_ || suspect_at <= now) return call.deadline;
  return std::min(call.deadline, suspect_at);
}

void OutgoingConnection::OnTimer() {
  const TimePoint now = loop_.Now();
  if (lane_ == Lane::kData) MoveDeadlines(now);
  // A forwarded command may take as long as its caller waits, while the peer sends anything; an append or a vote may
  // not.
  if (EndOverdue(now) && (lane_ != Lane::kForward || now - messages_.last_received() >= options_.call_timeout))
    return End("it did not reply in time");
  if (IsSilent(now)) {
    EndHeartbeats();
    owner_.OnConnectionSilent(*this);
  }
  if (is_retired_ && calls_.empty()) return End("another one has taken its place");
  TimePoint next = TimePoint::max();
  for (CallBase* call = calls_.front(); call != nullptr; call = calls_.Next(*call))
    next = std::min(next, NextCheck(*call, now));
  if (next != TimePoint::max()) ScheduleCheck(next);
}

// The calls are written in the order in which they were added.
void OutgoingConnection::OnCallWritten(uint64_t end) {
  const uint64_t number = calls_written_++;
  for (CallBase* call = calls_.front(); call != nullptr; call = calls_.Next(*call)) {
    if (call->number != number) continue;
    call->request_end = end;
    return;
  }
}

// The timeout of an append begins with the last byte of its request that the peer's TCP has acknowledged. Otherwise a
// link that needs longer than call_timeout for what is in flight would carry the same bytes again and again. The bytes
// of later requests do not count: they also move if the peer never replies to this one.
void OutgoingConnection::MoveDeadlines(TimePoint now) {
  const std::optional<uint64_t> total = AckedBytes(*stream_);
  if (!total) return;
  const uint64_t before = std::exchange(acked_, *total - acked_before_);
  if (acked_ == before) return;
  for (CallBase* call = calls_.front(); call != nullptr; call = calls_.Next(*call)) {
    if (call->request_end <= before) continue;
    const TimePoint latest = call->sent_at + kMostTimeouts * options_.call_timeout;
    call->deadline = std::max(call->deadline, std::min(latest, now + options_.call_timeout));
  }
}

bool OutgoingConnection::EndOverdue(TimePoint now) {
  bool is_overdue = false;
  for (CallBase* call = calls_.front(); call != nullptr;) {
    CallBase* following = calls_.Next(*call);
    if (call->deadline <= now) {
      is_overdue = true;
      call->Fail(Error(Errc::kTimedOut, "the peer did not reply in time"));
    }
    call = following;
  }
  return is_overdue;
}

// The reply to a vote may wait for the peer's disk. But a connection that brings nothing may also be dead: the peer's
// machine, or a firewall between, has forgotten it, and TCP retransmits for minutes.
bool OutgoingConnection::IsSilent(TimePoint now) {
  if (lane_ != Lane::kControl || is_retired_ || session_ == nullptr) return false;
  for (CallBase* call = calls_.front(); call != nullptr; call = calls_.Next(*call)) {
    if (call->sent_at + options_.control_timeout <= now && messages_.last_received() < call->sent_at) return true;
  }
  return false;
}

void OutgoingConnection::EndHeartbeats() {
  for (CallBase* call = calls_.front(); call != nullptr;) {
    CallBase* following = calls_.Next(*call);
    if (call->ends_in_silence) call->Fail(Error(Errc::kTimedOut, "the peer did not reply in time"));
    call = following;
  }
}

void OutgoingConnection::Fail(const Error& error) {
  while (CallBase* call = calls_.front()) call->Fail(error);
}

void OutgoingConnection::OnStreamEnded(const char* violation) {
  End(violation != nullptr ? violation : "it closed the connection");
}

void OutgoingConnection::End(const char* why) {
  if (has_ended_) return;
  has_ended_ = true;
  loop_.Cancel(*this);
  owner_.OnConnectionEnded(*this, why);
}

}  // namespace ringraft::rpc
