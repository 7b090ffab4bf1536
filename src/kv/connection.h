// One client: reads requests, answers the local ones itself, sends the others through the log, writes replies in order.
//
// Back-pressure. A connection does one thing at a time: read, or have one call of `Raft::Handle` in flight, or write.
// So nothing more is read from a slow reader, and TCP stops it from sending. What a connection may hold is bounded:
//   * input: one piece of at most kMaxReadBytes, and one request that is not complete (ParserLimits);
//   * one call: kMaxCallBytes of commands, plus one command; its replies are estimated beforehand (kMaxCallReplyBytes);
//   * output: kFlushBytes, plus the replies of one call.
// All calls in flight together are bounded by a budget (budget.h).
// Pipelining: consecutive requests that have been read go through the log as one call, so a deep pipeline costs one
// append, not one for each command.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/list.h"
#include "kv/budget.h"
#include "kv/request_parser.h"
#include "kv/session.h"
#include "kv/store.h"
#include "coro/loop.h"
#include "reactor/socket.h"
#include "ringraft/raft.h"
#include "ringraft/task.h"

namespace ringraft::kv {

// What all connections share. Owned by the server; outlives them.
struct ConnectionContext {
  coro::Loop& loop;
  Raft& raft;
  const KeyValueStore& store;
  ServerFacts& facts;
  CallBudget& budget;
  std::chrono::milliseconds deadline;
  size_t max_command_bytes;
  bool is_stopping = false;
};

// Lives in the frame of the coroutine that runs it. Reactor thread only.
class Connection : public base::ListHook {
 public:
  Connection(ConnectionContext& context, reactor::Socket socket);
  Connection(const Connection&) = delete;

  // Serves the client until it leaves, the stream breaks, or the server stops.
  Task<void> Run();
  // The server stops: closes an idle connection at once, a busy one once the present replies are sent.
  void FinishSoon();

 private:
  // What a connection has to do next.
  enum class Step {
    kTaken,           // the request was answered or added to the call: take the next
    kNeedMore,        // read: the input has no further complete request
    kRunCall,         // run the gathered call before the request
    kRunRaftCommand,  // run the request, which changes the cluster
    kFlush,
    kClose,
  };

  Step TakeRequests(std::string_view& input);
  Step TakeRequest();
  bool HasRoomForCall(size_t bytes, size_t reply_bytes) const;
  size_t EstimateReply(const CommandSpec& spec, size_t words) const;
  Task<void> ServeInput(std::string_view input);
  Task<void> RunCall();
  Task<void> RunRaftCommand();
  Task<void> Flush();
  Task<void> Linger();
  void AdaptReadBuffer(size_t got);

  struct CloseTimer final : coro::TimerNode {
    explicit CloseTimer(reactor::Socket& socket) : socket(socket) {}
    void OnTimer() override { socket.Close(); }
    reactor::Socket& socket;
  };

  ConnectionContext& context_;
  reactor::Socket socket_;
  Session session_;
  RequestParser parser_;
  Request request_;
  bool has_request_ = false;  // `request_` waits for the call before it to end
  bool is_reading_ = false;
  bool is_closing_ = false;
  std::vector<char> read_buffer_;
  std::string out_;

  // The call that is being gathered or in flight.
  std::string call_bytes_;
  std::vector<size_t> call_ends_;
  size_t call_reply_bytes_ = 0;
  std::vector<Command> commands_;
};

}  // namespace ringraft::kv
