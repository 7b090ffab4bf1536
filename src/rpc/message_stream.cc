#include "rpc/message_stream.h"

#include <capnp/any.h>
#include <capnp/message.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace ringraft::rpc {
namespace {

using capnp::word;

constexpr size_t kFirstBodyBytes = 1 << 20;  // allocated for a header; more only as bytes arrive
// A reader may traverse this many words beyond those of the message: the RPC system reads some twice.
constexpr uint64_t kTraversalAllowance = 1024;
// Message, Call, Payload, content, parameters, struct, list, struct, list, Data: ten, with some to spare.
constexpr int kNestingLimit = 24;

constexpr kj::byte kZeros[sizeof(word)] = {};

size_t TableBytes(size_t segments) { return (segments / 2 + 1) * sizeof(word); }

// Newer versions of Cap'n Proto set it if no Finish follows; 0.9.2 has no accessor. Return.noFinishNeeded @8 :Bool is
// bit 33.
bool NoFinishNeeded(capnp::rpc::Return::Reader answer) {
  auto data = capnp::AnyStruct::Reader(answer).getDataSection();
  return data.size() > 4 && (data[4] & 2) != 0;
}

// Overwrites a text in a message of this node that is about to be written; Cap'n Proto gives only const access.
void BlankOut(capnp::Text::Reader text) {
  constexpr std::string_view kReason = "the call failed";
  char* to = const_cast<char*>(text.begin());
  for (size_t i = 0; i < text.size(); ++i) to[i] = i < kReason.size() ? kReason[i] : ' ';
}

}  // namespace

MessageStream::MessageStream(coro::Loop& loop, kj::AsyncIoStream& stream, Side side, const StreamLimits& limits,
                             Owner& owner)
    : loop_(loop), stream_(stream), side_(side), limits_(limits), owner_(owner), last_received_(loop.Now()) {}

MessageStream::~MessageStream() noexcept {}

void MessageStream::End(const char* violation) {
  if (has_ended_) return;
  has_ended_ = true;
  owner_.OnStreamEnded(violation);
}

// --- reading ---

kj::Promise<MessageStream::Received> MessageStream::tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions,
                                                                   kj::ArrayPtr<word>) {
  return ReadHead();
}

// Continues with `then` when all bytes have arrived. Otherwise the promise never resolves: the connection has ended,
// its owner is about to drop everything, and the RPC system must not send a last message.
template <class Then>
kj::Promise<MessageStream::Received> MessageStream::ReadExactly(void* to, size_t bytes, Then then) {
  return stream_.tryRead(to, bytes, bytes)
      .then(
          [this, bytes, then](size_t got) -> kj::Promise<Received> {
            last_received_ = loop_.Now();
            if (got == bytes && !has_ended_ && !is_ending_) return (this->*then)();
            if (got < bytes) End(nullptr);
            return kj::NEVER_DONE;
          },
          [this](kj::Exception&&) -> kj::Promise<Received> {
            End(nullptr);
            return kj::NEVER_DONE;
          });
}

kj::Promise<MessageStream::Received> MessageStream::Violation(const char* what) {
  End(what);
  return kj::NEVER_DONE;
}

kj::Promise<MessageStream::Received> MessageStream::ReadHead() {
  return ReadExactly(incoming_.table, sizeof(word), &MessageStream::ReadTable);
}

kj::Promise<MessageStream::Received> MessageStream::ReadTable() {
  if (incoming_.table[0] >= kMaxSegments)
    return Violation("its bytes are not a message of the protocol (too many segments)");
  incoming_.segments = incoming_.table[0] + 1;
  const size_t rest = TableBytes(incoming_.segments) - sizeof(word);
  if (rest == 0) return StartBody();
  return ReadExactly(incoming_.table + 2, rest, &MessageStream::StartBody);
}

kj::Promise<MessageStream::Received> MessageStream::StartBody() {
  uint64_t words = 0;
  for (uint32_t i = 1; i <= incoming_.segments; ++i) words += incoming_.table[i];
  if (words == 0) return Violation("its bytes are not a message of the protocol (an empty message)");
  if (words > limits_.max_message_bytes / sizeof(word))
    return Violation(
        "its bytes are not a message of the protocol, or are one over the size limit (max_message_bytes)");
  incoming_.bytes = words * sizeof(word);
  incoming_.filled = 0;
  incoming_.words = kj::heapArray<word>(std::min(incoming_.bytes, kFirstBodyBytes) / sizeof(word));
  return ReadBody();
}

// Doubles the room whenever it is full: on average no byte is moved more than once.
kj::Promise<MessageStream::Received> MessageStream::ReadBody() {
  if (incoming_.filled == incoming_.bytes) return Deliver();
  size_t room = incoming_.words.size() * sizeof(word);
  if (incoming_.filled == room) {
    room = std::min(incoming_.bytes, 2 * room);
    auto larger = kj::heapArray<word>(room / sizeof(word));
    std::memcpy(larger.begin(), incoming_.words.begin(), incoming_.filled);
    incoming_.words = kj::mv(larger);
  }
  const size_t offset = incoming_.filled;
  incoming_.filled = room;  // once the next step runs
  return ReadExactly(incoming_.words.asBytes().begin() + offset, room - offset, &MessageStream::ReadBody);
}

MessageStream::Received MessageStream::Deliver() {
  auto segments = kj::heapArray<kj::ArrayPtr<const word>>(incoming_.segments);
  size_t at = 0;
  for (uint32_t i = 0; i < incoming_.segments; ++i) {
    const size_t end = at + incoming_.table[i + 1];
    segments[i] = incoming_.words.slice(at, end);
    at = end;
  }
  capnp::ReaderOptions options;
  options.traversalLimitInWords = at + kTraversalAllowance;
  options.nestingLimit = kNestingLimit;
  Segments view = segments;
  kj::Own<capnp::MessageReader> reader =
      kj::heap<capnp::SegmentArrayMessageReader>(view, options).attach(kj::mv(segments), kj::mv(incoming_.words));
  const char* violation = nullptr;
  try {
    violation = Inspect(reader->getRoot<capnp::rpc::Message>());
  } catch (const kj::Exception&) {
    violation = "its bytes are not a message of the protocol (invalid pointers)";
  }
  if (violation != nullptr) {
    End(violation);
    return nullptr;
  }
  return capnp::MessageReaderAndFds{kj::mv(reader), nullptr};
}

// Passes only messages that a ringraft peer sends. Returns null if the message may pass.
const char* MessageStream::Inspect(capnp::rpc::Message::Reader message) {
  if (limits_.max_messages == 0) return "it sent more messages than a handshake needs";
  --limits_.max_messages;
  using capnp::rpc::Message;
  switch (message.which()) {
    case Message::CALL:
      return InspectCall(message.getCall().getQuestionId());
    case Message::BOOTSTRAP:
      return InspectCall(message.getBootstrap().getQuestionId());
    case Message::FINISH:
      if (side_ == Side::kCaller || !unfinished_calls_.Finish(message.getFinish().getQuestionId()))
        return "it finished a call that it never sent";
      return nullptr;
    case Message::RETURN:
    case Message::RESOLVE:
      return side_ == Side::kCaller ? nullptr : "it replied to a call that was never sent";
    case Message::RELEASE:
    case Message::ABORT:
    case Message::UNIMPLEMENTED:
      return nullptr;
    default:
      return "it sent a message of a kind that no peer sends";
  }
}

const char* MessageStream::InspectCall(uint32_t question) {
  if (side_ == Side::kCaller) return "it sent a call on a connection that this node opened";
  unfinished_calls_.Begin(question);
  if (unfinished_calls_.size() > limits_.max_unfinished_calls)
    return "it has more unfinished calls than max_calls_per_connection";
  return nullptr;
}

// --- writing ---

void MessageStream::Expect(std::vector<BatchRef> referenced) {
  for (BatchRef& batch : referenced) expected_.push_back(std::move(batch));
}

// The network below the RPC system sends the next message only after this one has been written.
kj::Promise<void> MessageStream::writeMessage(kj::ArrayPtr<const int>, Segments segments) {
  if (has_ended_ || !PrepareToSend(segments)) return kj::READY_NOW;
  if (MayWait(segments)) {
    Hold(segments);
    return kj::READY_NOW;
  }
  return Write(segments);
}

// A Finish only acknowledges a reply: it is sent with the next message, and costs neither side a system call or a
// wake-up of its own. The peer keeps a few words for each such call until then, so at most kMaxHeld wait.
bool MessageStream::MayWait(Segments segments) const {
  if (side_ != Side::kCaller || held_messages_ >= kMaxHeld) return false;
  capnp::SegmentArrayMessageReader reader(segments);
  return reader.getRoot<capnp::rpc::Message>().isFinish();
}

void MessageStream::Hold(Segments segments) {
  ++held_messages_;
  FillTable(segments);
  auto append = [this](kj::ArrayPtr<const kj::byte> bytes) { held_.insert(held_.end(), bytes.begin(), bytes.end()); };
  append(kj::arrayPtr(out_table_.data(), out_table_.size()).asBytes());
  for (auto segment : segments) append(segment.asBytes());
}

kj::Promise<void> MessageStream::writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const word>>> messages) {
  if (messages.size() == 0) return kj::READY_NOW;
  auto first = writeMessage(nullptr, messages[0]);
  if (messages.size() == 1) return first;
  auto rest = messages.slice(1, messages.size());
  return first.then([this, rest]() { return writeMessages(rest); });
}

// Returns false if the message must not be sent. Texts of exceptions name source files and more, so aborts are not
// sent (the end of the connection suffices), and the reason of a reply that is an exception is overwritten in place.
bool MessageStream::PrepareToSend(Segments segments) {
  capnp::SegmentArrayMessageReader reader(segments);
  auto message = reader.getRoot<capnp::rpc::Message>();
  if (message.isAbort()) return false;
  is_call_ = message.isCall();
  if (side_ == Side::kCaller || !message.isReturn()) return true;
  auto answer = message.getReturn();
  if (NoFinishNeeded(answer)) unfinished_calls_.OnFinalReply(answer.getAnswerId());
  has_replied_ = is_ending_;
  if (answer.isException()) BlankOut(answer.getException().getReason());
  return true;
}

void MessageStream::FillTable(Segments segments) {
  out_table_.clear();
  out_table_.push_back(static_cast<uint32_t>(segments.size() - 1));
  for (auto segment : segments) out_table_.push_back(static_cast<uint32_t>(segment.size()));
  out_table_.resize(TableBytes(segments.size()) / sizeof(uint32_t));
}

kj::Promise<void> MessageStream::Write(Segments segments) {
  FillTable(segments);
  pieces_.clear();
  held_messages_ = 0;
  held_in_write_.swap(held_);
  held_.clear();
  if (!held_in_write_.empty()) pieces_.push_back(kj::arrayPtr(held_in_write_.data(), held_in_write_.size()));
  pieces_.push_back(kj::arrayPtr(out_table_.data(), out_table_.size()).asBytes());
  for (auto segment : segments) AddSegment(segment);
  for (const auto& piece : pieces_) bytes_out_ += piece.size();
  if (is_call_) owner_.OnCallWritten(bytes_out_);
  return stream_.write(kj::arrayPtr(pieces_.data(), pieces_.size()))
      .then([this]() { OnWritten(); }, [this](kj::Exception&&) { End(nullptr); });
}

void MessageStream::AddSegment(kj::ArrayPtr<const word> segment) {
  const auto* begin = reinterpret_cast<const char*>(segment.begin());
  auto batch = std::find_if(expected_.begin(), expected_.end(),
                            [begin](const BatchRef& expected) { return expected.bytes().data() == begin; });
  if (batch == expected_.end()) {
    pieces_.push_back(segment.asBytes());
    return;
  }
  // A segment consists of whole words, a batch of bytes: the memory after the batch must not be sent.
  const std::string_view bytes = batch->bytes();
  pieces_.push_back(kj::arrayPtr(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()));
  const size_t padding = segment.size() * sizeof(word) - bytes.size();
  if (padding > 0) pieces_.push_back(kj::arrayPtr(kZeros, padding));
  in_write_.push_back(std::move(*batch));
  expected_.erase(batch);
}

void MessageStream::OnWritten() {
  in_write_.clear();
  if (has_replied_) End(nullptr);
}

// Called by the RPC system when it has found a protocol error.
kj::Promise<void> MessageStream::end() {
  End("its messages contradict each other");
  return kj::READY_NOW;
}

}  // namespace ringraft::rpc
