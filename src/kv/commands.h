// The command table, and how a data command is written into the Raft log. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/resp.h"

namespace ringraft::kv {

enum class CommandId : uint8_t {
  // Answered by the state machine, through the log.
  kAppend, kDbSize, kDecr, kDecrBy, kDel, kExists, kFlushAll, kGet, kGetDel, kIncr, kIncrBy, kKeys, kMGet, kMSet, kScan,
  kSet, kSetNx, kStrLen,
  // Answered by the node that was asked.
  kAuth, kClient, kCommand, kConfig, kEcho, kHello, kInfo, kPing, kQuit, kRaft, kReset, kRole, kSelect,
};

enum class CommandKind : uint8_t { kWrite, kRead, kLocal };

struct CommandSpec {
  const char* name;  // lower case
  CommandId id;
  CommandKind kind;
  int arity;  // words with the name; negative: at least so many
  // The positions of keys, as COMMAND tells them to clients: 0 if there are none.
  int first_key, last_key, key_step;
  const char* group;    // for COMMAND's access categories
};

std::span<const CommandSpec> CommandTable();
// Null if there is none. In any case of letters.
const CommandSpec* FindCommand(std::string_view name);
bool HasArity(int arity, size_t words);

// Redis's texts, without the leading '-'.
std::string UnknownCommandText(std::span<const std::string_view> args);
std::string WrongArityText(std::string_view name);  // "get", "client|setname"
std::string UnknownSubcommandText(std::string_view command, std::string_view subcommand);

// A data command in the log: protocol, number of words, then each word after its length (both as LEB128). The protocol
// is part of it because the state machine's result is the reply itself, so that any node can pass it on unread.
size_t EncodedSize(std::span<const std::string_view> args);
void EncodeCommand(Protocol protocol, std::span<const std::string_view> args, std::string& out);

struct DecodedCommand {
  Protocol protocol = Protocol::kResp2;
  std::vector<std::string_view> args;  // views into the encoded bytes
};
// False if the bytes are no encoded command. `command` is reused.
bool DecodeCommand(std::string_view bytes, DecodedCommand& command);

}  // namespace ringraft::kv
