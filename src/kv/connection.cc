#include "kv/connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "kv/raft_commands.h"

namespace ringraft::kv {
namespace {

constexpr size_t kMinReadBytes = size_t{16} << 10;
constexpr size_t kMaxReadBytes = size_t{256} << 10;
constexpr size_t kFlushBytes = size_t{256} << 10;
constexpr size_t kMaxCallCommands = 1024;
constexpr size_t kMaxCallBytes = size_t{1} << 20;
constexpr size_t kMaxCallReplyBytes = size_t{32} << 20;
constexpr size_t kLingerBytes = size_t{16} << 20;
constexpr Duration kLinger = std::chrono::seconds(1);

}  // namespace

Connection::Connection(ConnectionContext& context, reactor::Socket socket)
    : context_(context),
      socket_(std::move(socket)),
      session_(context.facts, socket_.PeerText()),
      read_buffer_(kMinReadBytes) {
  // A client whose machine is gone must not hold its place forever.
  const int on = 1;
  setsockopt(socket_.fd(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

Task<void> Connection::Run() {
  while (!is_closing_ && !context_.is_stopping) {
    is_reading_ = true;
    auto read = socket_.Read(read_buffer_);
    const auto got = co_await read;
    is_reading_ = false;
    if (!got || got.value() == 0) co_return;
    auto serve = ServeInput(std::string_view(read_buffer_.data(), got.value()));
    co_await serve;
    AdaptReadBuffer(got.value());
  }
  auto linger = Linger();
  co_await linger;
}

void Connection::FinishSoon() {
  if (is_reading_) socket_.Close();
}

// Serves all complete requests of one piece of input, in their order.
Task<void> Connection::ServeInput(std::string_view input) {
  while (!is_closing_) {
    const Step step = TakeRequests(input);
    if (!call_ends_.empty()) {
      auto call = RunCall();
      co_await call;
    }
    if (step == Step::kRunRaftCommand) {
      auto command = RunRaftCommand();
      co_await command;
    }
    is_closing_ = is_closing_ || step == Step::kClose;
    const bool is_over = is_closing_ || step == Step::kNeedMore;
    if (is_over || out_.size() >= kFlushBytes) {
      auto flush = Flush();
      co_await flush;
    }
    if (is_over) co_return;
  }
}

// Takes requests up to the first that has to wait.
Connection::Step Connection::TakeRequests(std::string_view& input) {
  while (true) {
    if (!has_request_) {
      switch (parser_.Next(input, request_)) {
        case RequestParser::Outcome::kNeedMore: return Step::kNeedMore;
        case RequestParser::Outcome::kRequest: break;
        case RequestParser::Outcome::kError:
          if (!call_ends_.empty()) return Step::kRunCall;  // the parser will return it again
          ReplyWriter(out_, session_.protocol()).Error("ERR " + parser_.error());
          return Step::kClose;
      }
      has_request_ = true;
    }
    const Step step = TakeRequest();
    if (step != Step::kTaken) return step;
    has_request_ = false;
    if (session_.is_closing()) return Step::kClose;
    if (out_.size() >= kFlushBytes) return Step::kFlush;
  }
}

// Answers the request or adds it to the call (kTaken); otherwise returns what has to happen first.
Connection::Step Connection::TakeRequest() {
  const auto args = request_.args();
  const CommandSpec* spec = FindCommand(args[0]);
  const bool is_data = spec != nullptr && spec->kind != CommandKind::kLocal && HasArity(spec->arity, args.size());
  const size_t bytes = is_data ? EncodedSize(args) : 0;
  if (is_data && bytes <= context_.max_command_bytes) {
    const size_t reply_bytes = EstimateReply(*spec, args.size());
    if (!HasRoomForCall(bytes, reply_bytes)) return Step::kRunCall;
    EncodeCommand(session_.protocol(), args, call_bytes_);
    call_ends_.push_back(call_bytes_.size());
    call_reply_bytes_ += reply_bytes;
    session_.NoteCommand(spec->name);
    ++context_.facts.commands_handled;
    return Step::kTaken;
  }
  // It is answered here, so the replies to all requests before it must be there.
  if (!call_ends_.empty()) return Step::kRunCall;
  if (spec != nullptr && spec->id == CommandId::kRaft && args.size() >= 2 && IsClusterCommand(args))
    return Step::kRunRaftCommand;
  ++context_.facts.commands_handled;
  ReplyWriter reply(out_, session_.protocol());
  if (spec == nullptr) {
    reply.Error(UnknownCommandText(args));
  } else if (!HasArity(spec->arity, args.size())) {
    reply.Error(WrongArityText(spec->name));
  } else if (is_data) {
    reply.Error(fmt::format("ERR the command has {} bytes; at most {} are accepted: split the value", bytes,
                            context_.max_command_bytes));
  } else {
    session_.NoteCommand(spec->name);
    session_.Execute(*spec, args, out_);
  }
  return Step::kTaken;
}

bool Connection::HasRoomForCall(size_t bytes, size_t reply_bytes) const {
  if (call_ends_.empty()) return true;
  return call_ends_.size() < kMaxCallCommands && call_bytes_.size() + bytes <= kMaxCallBytes &&
         call_reply_bytes_ + reply_bytes <= kMaxCallReplyBytes;
}

// An upper bound of what the command may bring back, by what this node knows: a replica that lags behind may know of
// smaller values only, which costs memory for once but breaks nothing.
size_t Connection::EstimateReply(const CommandSpec& spec, size_t words) const {
  constexpr size_t kShort = 64;
  const size_t value = context_.store.largest_value() + kShort;
  switch (spec.id) {
    case CommandId::kSet: return words > 3 ? value : kShort;  // GET may be among the options
    case CommandId::kGet:
    case CommandId::kGetDel: return value;
    case CommandId::kKeys:
    case CommandId::kMGet: return kMaxReplyBytes;
    case CommandId::kScan: return size_t{2} << 20;
    default: return kShort;
  }
}

Task<void> Connection::RunCall() {
  const TimePoint deadline = Clock::now() + context_.deadline;  // waiting for room counts
  CallBudget::Lease lease(context_.budget);
  const size_t in_flight = call_bytes_.size() + call_reply_bytes_;
  if (!lease.TryTake(in_flight)) {
    auto take = lease.Take(in_flight);
    co_await take;
  }
  commands_.clear();
  size_t start = 0;
  for (const size_t end : call_ends_) {
    commands_.emplace_back(std::string_view(call_bytes_).substr(start, end - start));
    start = end;
  }
  HandleOptions options;
  options.Deadline(deadline).Forward();
  auto call = context_.raft.Handle(std::span<const Command>(commands_), std::move(options));
  const auto results = co_await call;
  if (results) {
    for (const Bytes& reply : results.value()) out_.append(reply.view());
  } else {
    const std::string text = ErrorText(results.error(), context_.deadline);
    ReplyWriter reply(out_, session_.protocol());
    for (size_t i = 0; i < call_ends_.size(); ++i) reply.Error(text);
  }
  if (call_bytes_.capacity() > kMaxCallBytes) std::string().swap(call_bytes_);
  call_bytes_.clear();
  call_ends_.clear();
  call_reply_bytes_ = 0;
}

Task<void> Connection::RunRaftCommand() {
  has_request_ = false;
  ++context_.facts.commands_handled;
  session_.NoteCommand("raft");
  auto command = RunClusterCommand(context_.raft, request_.args(), context_.deadline);
  const Result<void> done = co_await command;
  ReplyWriter reply(out_, session_.protocol());
  if (done) {
    reply.Ok();
  } else if (done.error() == Errc::kInvalidArgument) {
    reply.Error("ERR " + done.error().message());
  } else {
    reply.Error(ErrorText(done.error(), context_.deadline));
  }
}

Task<void> Connection::Flush() {
  if (out_.empty()) co_return;
  auto write = socket_.Write(out_);
  const auto written = co_await write;
  is_closing_ = is_closing_ || !written;
  if (out_.capacity() > 2 * kFlushBytes) std::string().swap(out_);
  out_.clear();
}

// A close with unread input would reset the stream, and the client might never see the last reply. So the
// connection shuts down its side, and discards input for a while.
Task<void> Connection::Linger() {
  socket_.ShutdownWrite();
  CloseTimer timer(socket_);
  context_.loop.Schedule(timer, context_.loop.Now() + kLinger);
  size_t seen = 0;
  while (seen < kLingerBytes && !context_.is_stopping) {
    is_reading_ = true;
    auto read = socket_.Read(read_buffer_);
    const auto got = co_await read;
    is_reading_ = false;
    if (!got || got.value() == 0) break;
    seen += got.value();
  }
}

// Large pieces for those who send much; an idle client holds little.
void Connection::AdaptReadBuffer(size_t got) {
  if (got == read_buffer_.size() && got < kMaxReadBytes) {
    read_buffer_.resize(2 * got);
  } else if (got < read_buffer_.size() / 8 && read_buffer_.size() > kMinReadBytes) {
    read_buffer_ = std::vector<char>(kMinReadBytes);
  }
}

}  // namespace ringraft::kv
