// What one client's connection knows, and the commands that the node answers by itself, without the log. Pure: no
// socket, no Raft. Owned by the connection's coroutine; reactor thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "kv/commands.h"
#include "kv/resp.h"
#include "ringraft/errc.h"
#include "ringraft/status.h"
#include "ringraft/types.h"

namespace ringraft::kv {

// What this server pretends to be, so that clients know what they may ask for.
constexpr std::string_view kRedisVersion = "7.0.15";

class Session;

// What sessions tell about the server they are on. One a server; outlives its sessions.
struct ServerFacts {
  std::function<RaftStatus()> status;
  std::function<size_t()> key_count;
  std::function<TimePoint()> now = [] { return Clock::now(); };
  TimePoint started;
  std::string data_dir;
  uint16_t port = 0;
  size_t max_command_bytes = 0;
  uint64_t connections_accepted = 0;
  uint64_t commands_handled = 0;
  // By id, so CLIENT LIST has an order.
  std::map<uint64_t, const Session*> sessions;
};

class Session {
 public:
  using Args = std::span<const std::string_view>;

  // `peer_address` is "host:port" of the client.
  Session(ServerFacts& facts, std::string peer_address);
  ~Session();
  Session(const Session&) = delete;

  Protocol protocol() const { return protocol_; }
  // The connection is to be closed once the replies so far are sent.
  bool is_closing() const { return is_closing_; }

  // Answers a local command whose arity has been checked. RAFT ADD, REMOVE and TRANSFER are not among them.
  void Execute(const CommandSpec& spec, Args args, std::string& out);

  // One line of CLIENT LIST.
  std::string Describe() const;
  void NoteCommand(std::string_view name) { last_command_ = name; }

 private:
  void Auth(Args args, ReplyWriter& reply);
  void Client(Args args, ReplyWriter& reply);
  void Config(Args args, ReplyWriter& reply);
  void Hello(Args args, std::string& out);
  void Ping(Args args, ReplyWriter& reply);
  void RaftCommand(Args args, ReplyWriter& reply);
  void Select(Args args, ReplyWriter& reply);
  void Reset(std::string& out);
  bool SetName(std::string_view name);

  ServerFacts& facts_;
  const std::string peer_address_;
  const uint64_t id_;
  const TimePoint connected_;
  Protocol protocol_ = Protocol::kResp2;
  bool is_closing_ = false;
  std::string name_;
  std::string library_name_;
  std::string library_version_;
  std::string last_command_;
};

// The long answers (reports.cc).
std::string InfoText(const ServerFacts& facts, std::span<const std::string_view> sections);
void WriteRole(const RaftStatus& status, ReplyWriter& reply);
void WriteRaftStatus(const RaftStatus& status, ReplyWriter& reply);
void WriteCommandReply(std::span<const std::string_view> args, ReplyWriter& reply);

// "-NOTLEADER ..." and its like: how a failed call is told to a Redis client. Without the leading '-'.
std::string ErrorText(const Error& error, std::chrono::milliseconds deadline);

}  // namespace ringraft::kv
