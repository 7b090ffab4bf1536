#include "kv/commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ringraft::kv {
namespace {

using enum CommandId;
using enum CommandKind;

// Sorted by name. The arities and key positions are Redis 7.0's.
constexpr auto kTable = std::to_array<CommandSpec>({
    {"append", kAppend, kWrite, 3, 1, 1, 1, "string"},
    {"auth", kAuth, kLocal, -2, 0, 0, 0, "connection"},
    {"client", kClient, kLocal, -2, 0, 0, 0, "connection"},
    {"command", kCommand, kLocal, -1, 0, 0, 0, "connection"},
    {"config", kConfig, kLocal, -2, 0, 0, 0, "admin"},
    {"dbsize", kDbSize, kRead, 1, 0, 0, 0, "keyspace"},
    {"decr", kDecr, kWrite, 2, 1, 1, 1, "string"},
    {"decrby", kDecrBy, kWrite, 3, 1, 1, 1, "string"},
    {"del", kDel, kWrite, -2, 1, -1, 1, "keyspace"},
    {"echo", kEcho, kLocal, 2, 0, 0, 0, "connection"},
    {"exists", kExists, kRead, -2, 1, -1, 1, "keyspace"},
    {"flushall", kFlushAll, kWrite, -1, 0, 0, 0, "keyspace"},
    {"get", kGet, kRead, 2, 1, 1, 1, "string"},
    {"getdel", kGetDel, kWrite, 2, 1, 1, 1, "string"},
    {"hello", kHello, kLocal, -1, 0, 0, 0, "connection"},
    {"incr", kIncr, kWrite, 2, 1, 1, 1, "string"},
    {"incrby", kIncrBy, kWrite, 3, 1, 1, 1, "string"},
    {"info", kInfo, kLocal, -1, 0, 0, 0, "dangerous"},
    {"keys", kKeys, kRead, 2, 0, 0, 0, "keyspace"},
    {"mget", kMGet, kRead, -2, 1, -1, 1, "string"},
    {"mset", kMSet, kWrite, -3, 1, -1, 2, "string"},
    {"ping", kPing, kLocal, -1, 0, 0, 0, "connection"},
    {"quit", kQuit, kLocal, -1, 0, 0, 0, "connection"},
    {"raft", kRaft, kLocal, -2, 0, 0, 0, "admin"},
    {"reset", kReset, kLocal, 1, 0, 0, 0, "connection"},
    {"role", kRole, kLocal, 1, 0, 0, 0, "admin"},
    {"scan", kScan, kRead, -2, 0, 0, 0, "keyspace"},
    {"select", kSelect, kLocal, 2, 0, 0, 0, "connection"},
    {"set", kSet, kWrite, -3, 1, 1, 1, "string"},
    {"setnx", kSetNx, kWrite, 3, 1, 1, 1, "string"},
    {"strlen", kStrLen, kRead, 2, 1, 1, 1, "string"},
});

constexpr bool NameLess(const CommandSpec& spec, std::string_view name) { return spec.name < name; }
static_assert(std::is_sorted(kTable.begin(), kTable.end(), [](const CommandSpec& a, const CommandSpec& b) {
  return std::string_view(a.name) < std::string_view(b.name);
}));

// Texts for errors are cut where a NUL is and after 128 bytes, as in Redis.
std::string_view Cut(std::string_view text, size_t limit) { return text.substr(0, std::min(text.find('\0'), limit)); }

void AppendLength(std::string& out, size_t length) {
  while (length >= 0x80) {
    out.push_back(static_cast<char>(length | 0x80));
    length >>= 7;
  }
  out.push_back(static_cast<char>(length));
}

size_t LengthSize(size_t length) {
  size_t bytes = 1;
  for (; length >= 0x80; length >>= 7) ++bytes;
  return bytes;
}

bool TakeLength(std::string_view& bytes, size_t& length) {
  length = 0;
  for (int shift = 0; shift < 35 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    length |= static_cast<size_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

}  // namespace

std::span<const CommandSpec> CommandTable() { return kTable; }

const CommandSpec* FindCommand(std::string_view name) {
  char lower[16];
  if (name.size() > sizeof lower) return nullptr;
  std::transform(name.begin(), name.end(), lower,
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const std::string_view wanted(lower, name.size());
  const auto found = std::lower_bound(kTable.begin(), kTable.end(), wanted, NameLess);
  return found != kTable.end() && found->name == wanted ? &*found : nullptr;
}

bool HasArity(int arity, size_t words) {
  return arity >= 0 ? words == static_cast<size_t>(arity) : words >= static_cast<size_t>(-arity);
}

std::string UnknownCommandText(std::span<const std::string_view> args) {
  std::string beginning;
  for (size_t i = 1; i < args.size() && beginning.size() < 128; ++i) {
    beginning += fmt::format("'{}' ", Cut(args[i], 128 - beginning.size()));
  }
  return fmt::format("ERR unknown command '{}', with args beginning with: {}", Cut(args[0], 128), beginning);
}

std::string WrongArityText(std::string_view name) {
  return fmt::format("ERR wrong number of arguments for '{}' command", name);
}

std::string UnknownSubcommandText(std::string_view command, std::string_view subcommand) {
  std::string upper(command);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", Cut(subcommand, 128), upper);
}

size_t EncodedSize(std::span<const std::string_view> args) {
  size_t size = 1 + LengthSize(args.size());
  for (const std::string_view arg : args) size += LengthSize(arg.size()) + arg.size();
  return size;
}

void EncodeCommand(Protocol protocol, std::span<const std::string_view> args, std::string& out) {
  out.push_back(static_cast<char>(protocol));
  AppendLength(out, args.size());
  for (const std::string_view arg : args) {
    AppendLength(out, arg.size());
    out.append(arg);
  }
}

bool DecodeCommand(std::string_view bytes, DecodedCommand& command) {
  command.args.clear();
  if (bytes.empty()) return false;
  command.protocol = static_cast<Protocol>(bytes.front());
  if (command.protocol != Protocol::kResp2 && command.protocol != Protocol::kResp3) return false;
  bytes.remove_prefix(1);
  size_t count = 0;
  if (!TakeLength(bytes, count) || count == 0 || count > bytes.size()) return false;
  for (size_t i = 0; i < count; ++i) {
    size_t length = 0;
    if (!TakeLength(bytes, length) || length > bytes.size()) return false;
    command.args.push_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return bytes.empty();
}

}  // namespace ringraft::kv
