#include "kv/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "kv/glob.h"

namespace ringraft::kv {
namespace {

constexpr const char* kNotAnInteger = "ERR value is not an integer or out of range";
constexpr const char* kNoPassword =
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
    "is "
    "correct?";
constexpr const char* kBadName = "ERR Client names cannot contain spaces, newlines or special characters.";

struct Subcommand {
  const char* name;
  int arity;  // words with command and subcommand; negative: at least so many
};

// Null, and an error written, if `args` is none of them or has the wrong number of words.
const Subcommand* FindSubcommand(std::span<const Subcommand> table, std::string_view command,
                                 std::span<const std::string_view> args, ReplyWriter& reply) {
  for (const Subcommand& sub : table) {
    if (!EqualsIgnoringCase(sub.name, args[1])) continue;
    if (HasArity(sub.arity, args.size())) return &sub;
    reply.Error(WrongArityText(fmt::format("{}|{}", command, sub.name)));
    return nullptr;
  }
  reply.Error(UnknownSubcommandText(command, args[1]));
  return nullptr;
}

bool IsGraph(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

void WriteHelp(std::span<const std::string_view> lines, ReplyWriter& reply) {
  reply.Array(lines.size());
  for (const std::string_view line : lines) reply.Simple(line);
}

}  // namespace

Session::Session(ServerFacts& facts, std::string peer_address)
    : facts_(facts),
      peer_address_(std::move(peer_address)),
      id_(++facts.connections_accepted),
      connected_(facts.now()) {
  facts_.sessions.emplace(id_, this);
}

Session::~Session() { facts_.sessions.erase(id_); }

void Session::Execute(const CommandSpec& spec, Args args, std::string& out) {
  ReplyWriter reply(out, protocol_);
  switch (spec.id) {
    case CommandId::kAuth: return Auth(args, reply);
    case CommandId::kClient: return Client(args, reply);
    case CommandId::kCommand: return WriteCommandReply(args, reply);
    case CommandId::kConfig: return Config(args, reply);
    case CommandId::kEcho: return reply.Bulk(args[1]);
    case CommandId::kHello: return Hello(args, out);
    case CommandId::kInfo: return reply.Text(InfoText(facts_, args.subspan(1)));
    case CommandId::kPing: return Ping(args, reply);
    case CommandId::kQuit: is_closing_ = true; return reply.Ok();
    case CommandId::kRaft: return RaftCommand(args, reply);
    case CommandId::kReset: return Reset(out);
    case CommandId::kRole: return WriteRole(facts_.status(), reply);
    case CommandId::kSelect: return Select(args, reply);
    default: return reply.Error(UnknownCommandText(args));
  }
}

void Session::Auth(Args args, ReplyWriter& reply) {
  if (args.size() > 3) return reply.Error("ERR syntax error");
  if (args.size() == 3 && args[1] != "default") {
    return reply.Error("WRONGPASS invalid username-password pair or user is disabled.");
  }
  reply.Error(kNoPassword);
}

bool Session::SetName(std::string_view name) {
  if (!IsGraph(name)) return false;
  name_ = name;
  return true;
}

std::string Session::Describe() const {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(facts_.now() - connected_).count();
  return fmt::format("id={} addr={} laddr=:{} name={} age={} db=0 cmd={} user=default lib-name={} lib-ver={} resp={}",
                     id_, peer_address_, facts_.port, name_, age, last_command_.empty() ? "NULL" : last_command_,
                     library_name_, library_version_, static_cast<int>(protocol_));
}

void Session::Client(Args args, ReplyWriter& reply) {
  static constexpr auto kTable = std::to_array<Subcommand>({{"getname", 2},
                                                            {"help", 2},
                                                            {"id", 2},
                                                            {"info", 2},
                                                            {"list", -2},
                                                            {"no-evict", 3},
                                                            {"no-touch", 3},
                                                            {"reply", 3},
                                                            {"setinfo", 4},
                                                            {"setname", 3}});
  const Subcommand* sub = FindSubcommand(kTable, "client", args, reply);
  if (sub == nullptr) return;
  const std::string_view name = sub->name;
  if (name == "getname") return name_.empty() ? reply.Null() : reply.Bulk(name_);
  if (name == "id") return reply.Integer(static_cast<int64_t>(id_));
  if (name == "info") return reply.Text(Describe() + "\n");
  if (name == "list") {
    std::string lines;
    for (const auto& [id, session] : facts_.sessions) lines += session->Describe() + "\n";
    return reply.Text(lines);
  }
  if (name == "no-evict" || name == "no-touch") {
    const bool is_sound = EqualsIgnoringCase(args[2], "on") || EqualsIgnoringCase(args[2], "off");
    return is_sound ? reply.Ok() : reply.Error("ERR syntax error");
  }
  if (name == "reply") {
    if (EqualsIgnoringCase(args[2], "on")) return reply.Ok();
    return reply.Error("ERR CLIENT REPLY supports only ON: every command gets a reply");
  }
  if (name == "setname") return SetName(args[2]) ? reply.Ok() : reply.Error(kBadName);
  if (name == "setinfo") {
    const bool is_name = EqualsIgnoringCase(args[2], "lib-name");
    if (!is_name && !EqualsIgnoringCase(args[2], "lib-ver")) {
      return reply.Error(fmt::format("ERR Unrecognized option '{}'", args[2]));
    }
    if (!IsGraph(args[3])) {
      return reply.Error(
          fmt::format("ERR {} cannot contain spaces, newlines or special characters.", ToLower(args[2])));
    }
    (is_name ? library_name_ : library_version_) = args[3];
    return reply.Ok();
  }
  static constexpr auto kHelp =
      std::to_array<std::string_view>({"CLIENT <subcommand> [<arg> ...]. Subcommands are:",
                                       "GETNAME | SETNAME <name> | ID | INFO | LIST | SETINFO LIB-NAME|LIB-VER <value>",
                                       "NO-EVICT ON|OFF | NO-TOUCH ON|OFF | REPLY ON"});
  WriteHelp(kHelp, reply);
}

// What clients ask for when they connect; there is nothing to set.
void Session::Config(Args args, ReplyWriter& reply) {
  static constexpr auto kTable = std::to_array<Subcommand>({{"get", -3}, {"help", 2}, {"resetstat", 2}, {"set", -4}});
  const Subcommand* sub = FindSubcommand(kTable, "config", args, reply);
  if (sub == nullptr) return;
  const std::string_view name = sub->name;
  if (name == "resetstat") return reply.Ok();
  if (name == "set") return reply.Error("ERR CONFIG SET is not supported: options are given on the command line");
  if (name == "help") {
    static constexpr auto kHelp =
        std::to_array<std::string_view>({"CONFIG <subcommand> [<arg> ...]. Subcommands are:", "GET <pattern> ..."});
    return WriteHelp(kHelp, reply);
  }
  const std::pair<std::string_view, std::string> parameters[] = {
      {"appendonly", "yes"},
      {"appendfsync", "always"},
      {"databases", "1"},
      {"dir", facts_.data_dir},
      {"maxmemory", "0"},
      {"port", std::to_string(facts_.port)},
      {"proto-max-bulk-len", std::to_string(facts_.max_command_bytes)},
      {"save", ""},
      {"timeout", "0"}};
  std::string body;
  ReplyWriter pairs(body, protocol_);
  size_t count = 0;
  for (const auto& [parameter, value] : parameters) {
    const bool is_wanted = std::any_of(args.begin() + 2, args.end(), [&](std::string_view pattern) {
      return GlobMatches(ToLower(pattern), parameter);
    });
    if (!is_wanted) continue;
    ++count;
    pairs.Bulk(parameter);
    pairs.Bulk(value);
  }
  reply.Map(count);
  reply.Raw(body);
}

// HELLO [2|3 [AUTH user password] [SETNAME name]]
void Session::Hello(Args args, std::string& out) {
  ReplyWriter before(out, protocol_);
  Protocol wanted = protocol_;
  if (args.size() > 1) {
    const auto version = ParseInteger(args[1]);
    if (!version) return before.Error("ERR Protocol version is not an integer or out of range");
    if (*version != 2 && *version != 3) return before.Error("NOPROTO unsupported protocol version");
    wanted = static_cast<Protocol>(*version);
  }
  std::string_view name;
  bool has_name = false;
  for (size_t i = 2; i < args.size(); ++i) {
    if (EqualsIgnoringCase(args[i], "auth") && i + 2 < args.size()) {
      return Auth(args.subspan(i, 3), before);
    }
    if (!EqualsIgnoringCase(args[i], "setname") || i + 1 >= args.size()) {
      return before.Error(fmt::format("ERR Syntax error in HELLO option '{}'", args[i]));
    }
    name = args[++i];
    has_name = true;
    if (!IsGraph(name)) return before.Error(kBadName);
  }
  if (has_name) SetName(name);
  protocol_ = wanted;
  ReplyWriter reply(out, protocol_);
  reply.Map(7);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(static_cast<int64_t>(protocol_));
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(id_));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk(facts_.status().role == Role::kLeader ? "master" : "replica");
  reply.Bulk("modules");
  reply.Array(0);
}

void Session::Ping(Args args, ReplyWriter& reply) {
  if (args.size() > 2) return reply.Error(WrongArityText("ping"));
  args.size() == 1 ? reply.Simple("PONG") : reply.Bulk(args[1]);
}

void Session::RaftCommand(Args args, ReplyWriter& reply) {
  static constexpr auto kTable = std::to_array<Subcommand>({{"abort", 2},
                                                            {"add", 4},
                                                            {"addr", 4},
                                                            {"data", 4},
                                                            {"demote", 3},
                                                            {"help", 2},
                                                            {"promote", 3},
                                                            {"readmit", 3},
                                                            {"remove", 3},
                                                            {"status", 2},
                                                            {"transfer", -2}});
  const Subcommand* sub = FindSubcommand(kTable, "raft", args, reply);
  if (sub == nullptr) return;
  if (std::string_view(sub->name) == "status") return WriteRaftStatus(facts_.status(), reply);
  if (std::string_view(sub->name) == "transfer") return reply.Error(WrongArityText("raft|transfer"));  // too many words
  static constexpr auto kHelp = std::to_array<std::string_view>(
      {"RAFT <subcommand> [<arg> ...]. Subcommands are:",
       "ADD <id> <host:port> [LEARNER|WITNESS] -- Make a node a member.", "REMOVE <id> -- Make it none.",
       "PROMOTE <id> -- Let a learner vote.", "DEMOTE <id> -- Make a voter a learner.",
       "READMIT <id> -- The member has lost its disk, and comes back with an empty one.",
       "ADDR <id> <host:port> -- The member is found elsewhere now.",
       "DATA <id> <text> -- Keep a text with the member.",
       "    Several of these in one command are one change, all or nothing: REMOVE 1 ADD 4 <host:port>.",
       "    It may end with IF <index>: only if that is the configuration_index still.",
       "ABORT -- Cancel a change whose new voters are catching up.", "TRANSFER [<id>] -- Transfer leadership.",
       "STATUS -- What this node knows of the cluster.", "All but STATUS are for the leader."});
  WriteHelp(kHelp, reply);
}

void Session::Select(Args args, ReplyWriter& reply) {
  const auto number = ParseInteger(args[1]);
  if (!number || *number < std::numeric_limits<int>::min() || *number > std::numeric_limits<int>::max()) {
    return reply.Error(kNotAnInteger);
  }
  *number == 0 ? reply.Ok() : reply.Error("ERR DB index is out of range");
}

void Session::Reset(std::string& out) {
  protocol_ = Protocol::kResp2;
  name_.clear();
  ReplyWriter(out, protocol_).Simple("RESET");
}

}  // namespace ringraft::kv
