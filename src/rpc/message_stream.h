// Cap'n Proto messages over a byte stream, between the socket and the RPC system of one connection, which owns it:
//
//   in   checks the framing before Cap'n Proto sees a byte; allocates memory as bytes arrive, not as headers announce;
//        counts unfinished calls.
//   out  keeps the batches that a message references until the stream has taken their last byte; sends no text of an
//        exception.
//
// The stream below reads ahead and gathers small writes (reactor/kj_stream.h), so neither is done here.
//
// It never destroys itself or its owner: it reports once that the connection has ended, and the owner drops both later
// in the turn.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/rpc.capnp.h>
#include <capnp/serialize-async.h>
#include <kj/async-io.h>

#include <deque>
#include <vector>

#include "coro/loop.h"
#include "ringraft/batch.h"
#include "rpc/unfinished_calls.h"

namespace ringraft::rpc {

// The two ends of a connection: the one that sends calls, and the one that replies.
enum class Side { kCaller, kServer };

struct StreamLimits {
  size_t max_message_bytes = 0;
  uint64_t max_messages = 0;          // that may still arrive
  uint64_t max_unfinished_calls = 0;  // incoming
};

class MessageStream final : public capnp::MessageStream {
 public:
  class Owner {
   public:
    // Nothing more is received or sent. `violation` is the rule that the peer broke; null if the connection just ended.
    virtual void OnStreamEnded(const char* violation) = 0;
    // The next call has been handed to the stream; `end` is the number of bytes up to its last one.
    virtual void OnCallWritten(uint64_t /*end*/) {}

   protected:
    ~Owner() = default;
  };

  MessageStream(coro::Loop& loop, kj::AsyncIoStream& stream, Side side, const StreamLimits& limits, Owner& owner);
  ~MessageStream() noexcept;

  void SetLimits(const StreamLimits& limits) { limits_ = limits; }
  // Adds the batches that the next message references. Called in the order of the messages.
  void Expect(std::vector<BatchRef> referenced);
  // Accepts no more messages; ends the connection when the next reply has been written.
  void EndAfterReply() { is_ending_ = true; }

  bool has_ended() const { return has_ended_; }
  TimePoint last_received() const { return last_received_; }
  size_t expected_batches() const { return expected_.size(); }

  // capnp::MessageStream
  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(kj::ArrayPtr<kj::AutoCloseFd> fd_space,
                                                                    capnp::ReaderOptions options,
                                                                    kj::ArrayPtr<capnp::word> scratch_space) override;
  kj::Promise<void> writeMessage(kj::ArrayPtr<const int> fds,
                                 kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }
  kj::Promise<void> end() override;

 private:
  static constexpr uint32_t kMaxSegments = 512;  // the limit of Cap'n Proto's own readers

  using Segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;
  using Received = kj::Maybe<capnp::MessageReaderAndFds>;

  // A message that is arriving.
  struct Incoming {
    uint32_t table[kMaxSegments + 1];  // segments - 1, words of each, padded to a word
    uint32_t segments = 0;
    size_t bytes = 0;   // the size of all segments
    size_t filled = 0;  // bytes that have arrived
    kj::Array<capnp::word> words;
  };

  // Reading.
  kj::Promise<Received> ReadHead();
  kj::Promise<Received> ReadTable();
  kj::Promise<Received> StartBody();
  kj::Promise<Received> ReadBody();
  kj::Promise<Received> Violation(const char* what);
  template <class Then>
  kj::Promise<Received> ReadExactly(void* to, size_t bytes, Then then);
  Received Deliver();
  const char* Inspect(capnp::rpc::Message::Reader message);
  const char* InspectCall(uint32_t question);

  // Writing.
  bool PrepareToSend(Segments segments);
  bool MayWait(Segments segments) const;
  void Hold(Segments segments);
  void FillTable(Segments segments);
  kj::Promise<void> Write(Segments segments);
  void AddSegment(kj::ArrayPtr<const capnp::word> segment);
  void OnWritten();

  void End(const char* violation);

  coro::Loop& loop_;
  kj::AsyncIoStream& stream_;
  const Side side_;
  StreamLimits limits_;
  Owner& owner_;
  bool has_ended_ = false;
  bool is_ending_ = false;

  Incoming incoming_;
  UnfinishedCalls unfinished_calls_;
  TimePoint last_received_;

  std::deque<BatchRef> expected_;    // referenced by messages that are not written yet
  std::vector<BatchRef> in_write_;   // referenced by the message that is being written
  std::vector<uint32_t> out_table_;  // of that message
  std::vector<kj::ArrayPtr<const kj::byte>> pieces_;
  static constexpr size_t kMaxHeld = 32;
  std::vector<kj::byte> held_;           // messages that wait for the next one, encoded
  std::vector<kj::byte> held_in_write_;  // those that are sent with the message that is being written
  size_t held_messages_ = 0;
  bool is_call_ = false;      // the message that is being written
  uint64_t bytes_out_ = 0;    // handed to the stream
  bool has_replied_ = false;  // the message that is being written is a reply, and the connection is ending
};

}  // namespace ringraft::rpc
