// The answers that describe the node: INFO, ROLE, RAFT STATUS, COMMAND, and the errors of failed calls.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/duration.h"
#include "kv/session.h"

namespace ringraft::kv {
namespace {

// "127.0.0.1:7101" -> host and port; a v6 host loses its brackets.
std::pair<std::string, int64_t> SplitAddr(const Addr& addr) {
  const std::string& text = addr.text();
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {text, 0};
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return {std::move(host), ParseInteger(std::string_view(text).substr(colon + 1)).value_or(0)};
}

uint64_t InMicroseconds(Duration duration) { return static_cast<uint64_t>(Microseconds(duration)); }

// Counts for elections and commits: a witness does, too.
bool IsVoting(const PeerStatus& peer) { return peer.kind == MemberKind::kVoter || peer.kind == MemberKind::kWitness; }

void InfoServer(const ServerFacts& facts, std::string& out) {
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(facts.now() - facts.started).count();
  out += fmt::format(
      "# Server\r\nredis_version:{}\r\nredis_mode:standalone\r\nringraft_version:{}\r\nprocess_id:{}\r\n"
      "tcp_port:{}\r\nuptime_in_seconds:{}\r\n",
      kRedisVersion, RINGRAFT_VERSION, getpid(), facts.port, up);
}

void InfoClients(const ServerFacts& facts, std::string& out) {
  out += fmt::format("# Clients\r\nconnected_clients:{}\r\n", facts.sessions.size());
}

void InfoStats(const ServerFacts& facts, std::string& out) {
  out += fmt::format("# Stats\r\ntotal_connections_received:{}\r\ntotal_commands_processed:{}\r\n",
                     facts.connections_accepted, facts.commands_handled);
}

void InfoRaft(const ServerFacts& facts, std::string& out) {
  const RaftStatus status = facts.status();
  const auto members = std::count_if(status.peers.begin(), status.peers.end(), IsVoting);
  out += fmt::format(
      "# Raft\r\nnode_id:{}\r\nrole:{}\r\nterm:{}\r\nleader:{}\r\nleader_addr:{}\r\nlast_index:{}\r\n"
      "durable_index:{}\r\ncommit_index:{}\r\napplied_index:{}\r\nmembers:{}\r\nis_joint:{}\r\n"
      "waiting_calls:{}\r\nwaiting_bytes:{}\r\ndisk_stalled:{}\r\ndisk_latency_us:{}\r\n",
      status.id.value(), ToString(status.role), status.term.value(), status.leader ? status.leader->id.value() : 0,
      status.leader ? status.leader->addr.text() : "", status.last_index.value(), status.durable_index.value(),
      status.commit_index.value(), status.applied_index.value(), members, status.is_joint ? 1 : 0, status.waiting_calls,
      status.waiting_bytes, status.is_disk_stalled ? 1 : 0, Microseconds(status.disk_latency));
  for (const PeerStatus& peer : status.peers) {
    if (peer.is_self) continue;
    out += fmt::format("peer{}:addr={},kind={},voter={}", peer.peer.id.value(), peer.peer.addr.text(),
                       ToString(peer.kind), IsVoting(peer) ? 1 : 0);
    // Only the leader knows how far the others are.
    if (status.role == Role::kLeader) {
      out += fmt::format(
          ",match={},lag={},lag_bytes={},lag_us={},inflight={},contact_us={},reachable={},"
          "needs_readmission={}",
          peer.match_index.value(), peer.lag_entries, peer.lag_bytes, Microseconds(peer.lag_time), peer.inflight_bytes,
          Microseconds(peer.last_contact), peer.is_reachable ? 1 : 0, peer.needs_readmission ? 1 : 0);
    }
    out += "\r\n";
  }
}

void InfoKeyspace(const ServerFacts& facts, std::string& out) {
  const size_t keys = facts.key_count();
  out += fmt::format("# Keyspace\r\nkeys:{}\r\n", keys);
  if (keys > 0) out += fmt::format("db0:keys={},expires=0,avg_ttl=0\r\n", keys);
}

struct InfoSection {
  const char* name;
  void (*write)(const ServerFacts&, std::string&);
};
constexpr InfoSection kSections[] = {{"server", InfoServer},
                                     {"clients", InfoClients},
                                     {"stats", InfoStats},
                                     {"raft", InfoRaft},
                                     {"keyspace", InfoKeyspace}};

void WriteCommandInfo(const CommandSpec& spec, ReplyWriter& reply) {
  reply.Array(10);
  reply.Bulk(spec.name);
  reply.Integer(spec.arity);
  reply.Array(1);
  reply.Simple(spec.kind == CommandKind::kWrite ? "write" : spec.kind == CommandKind::kRead ? "readonly" : "noscript");
  reply.Integer(spec.first_key);
  reply.Integer(spec.last_key);
  reply.Integer(spec.key_step);
  reply.Array(1);
  reply.Simple(fmt::format("@{}", spec.group));
  for (int empty = 0; empty < 3; ++empty) reply.Array(0);  // tips, key specifications, subcommands
}

}  // namespace

std::string InfoText(const ServerFacts& facts, std::span<const std::string_view> sections) {
  const auto is_wanted = [&](std::string_view name) {
    return sections.empty() || std::any_of(sections.begin(), sections.end(), [&](std::string_view wanted) {
             const bool is_alias = name == "raft" && EqualsIgnoringCase(wanted, "replication");
             return is_alias || EqualsIgnoringCase(wanted, name) || EqualsIgnoringCase(wanted, "all") ||
                    EqualsIgnoringCase(wanted, "default") || EqualsIgnoringCase(wanted, "everything");
           });
  };
  std::string text;
  for (const InfoSection& section : kSections) {
    if (!is_wanted(section.name)) continue;
    if (!text.empty()) text += "\r\n";
    section.write(facts, text);
  }
  return text;
}

// As Redis answers for a master with its replicas and for a replica with its master; addresses are those of the peer
// port.
void WriteRole(const RaftStatus& status, ReplyWriter& reply) {
  if (status.role == Role::kLeader) {
    reply.Array(3);
    reply.Bulk("master");
    reply.Integer(static_cast<int64_t>(status.commit_index.value()));
    const auto others =
        std::count_if(status.peers.begin(), status.peers.end(), [](const auto& peer) { return !peer.is_self; });
    reply.Array(static_cast<size_t>(others));
    for (const PeerStatus& peer : status.peers) {
      if (peer.is_self) continue;
      const auto [host, port] = SplitAddr(peer.peer.addr);
      reply.Array(3);
      reply.Bulk(host);
      reply.Bulk(std::to_string(port));
      reply.Bulk(std::to_string(peer.match_index.value()));
    }
    return;
  }
  const auto [host, port] = SplitAddr(status.leader ? status.leader->addr : Addr());
  reply.Array(5);
  reply.Bulk("slave");
  reply.Bulk(host);
  reply.Integer(port);
  reply.Bulk(status.leader ? "connected" : "connect");
  reply.Integer(static_cast<int64_t>(status.applied_index.value()));
}

void WriteRaftStatus(const RaftStatus& status, ReplyWriter& reply) {
  const auto number = [&reply](std::string_view name, uint64_t value) {
    reply.Bulk(name);
    reply.Integer(static_cast<int64_t>(value));
  };
  const auto text = [&reply](std::string_view name, std::string_view value) {
    reply.Bulk(name);
    reply.Bulk(value);
  };
  reply.Map(14);
  number("id", status.id.value());
  text("role", ToString(status.role));
  number("term", status.term.value());
  number("leader", status.leader ? status.leader->id.value() : 0);
  text("leader_addr", status.leader ? status.leader->addr.text() : std::string());
  number("last_index", status.last_index.value());
  number("durable_index", status.durable_index.value());
  number("commit_index", status.commit_index.value());
  number("applied_index", status.applied_index.value());
  number("configuration_index", status.configuration_index.value());
  number("is_joint", status.is_joint ? 1 : 0);
  number("disk_stalled", status.is_disk_stalled ? 1 : 0);
  number("disk_latency_us", InMicroseconds(status.disk_latency));
  reply.Bulk("members");
  reply.Array(status.peers.size());
  for (const PeerStatus& peer : status.peers) {
    reply.Map(11);
    number("id", peer.peer.id.value());
    text("addr", peer.peer.addr.text());
    text("kind", peer.is_catching_up ? "catching up" : ToString(peer.kind));
    text("data", peer.data);
    number("match", peer.match_index.value());
    number("lag", peer.lag_entries);
    number("lag_bytes", peer.lag_bytes);
    number("lag_us", InMicroseconds(peer.lag_time));
    number("contact_us", InMicroseconds(peer.last_contact));
    number("reachable", peer.is_reachable || peer.is_self ? 1 : 0);
    number("needs_readmission", peer.needs_readmission ? 1 : 0);
  }
}

void WriteCommandReply(std::span<const std::string_view> args, ReplyWriter& reply) {
  const auto table = CommandTable();
  if (args.size() == 1) {
    reply.Array(table.size());
    for (const CommandSpec& spec : table) WriteCommandInfo(spec, reply);
  } else if (EqualsIgnoringCase(args[1], "count") && args.size() == 2) {
    reply.Integer(static_cast<int64_t>(table.size()));
  } else if (EqualsIgnoringCase(args[1], "docs")) {
    reply.Map(0);
  } else if (EqualsIgnoringCase(args[1], "list") && args.size() == 2) {
    reply.Array(table.size());
    for (const CommandSpec& spec : table) reply.Bulk(spec.name);
  } else if (EqualsIgnoringCase(args[1], "info")) {
    const auto names = args.subspan(2);
    reply.Array(names.empty() ? table.size() : names.size());
    for (const std::string_view name : names) {
      const CommandSpec* spec = FindCommand(name);
      spec == nullptr ? reply.Null() : WriteCommandInfo(*spec, reply);
    }
    if (names.empty()) {
      for (const CommandSpec& spec : table) WriteCommandInfo(spec, reply);
    }
  } else if (EqualsIgnoringCase(args[1], "count") || EqualsIgnoringCase(args[1], "list")) {
    reply.Error(WrongArityText("command|" + ToLower(args[1])));
  } else {
    reply.Error(UnknownSubcommandText("command", args[1]));
  }
}

std::string ErrorText(const Error& error, std::chrono::milliseconds deadline) {
  switch (error.code()) {
    case Errc::kNotLeader:
      if (!error.leader()) return "NOTLEADER this node is not the leader, and none is known: try again in a moment";
      return fmt::format(
          "NOTLEADER node {} with the peer address {} is the leader: send this command to its client port, or "
          "use the tool 'ringraft', which finds it",
          error.leader()->id.value(), error.leader()->addr.text());
    case Errc::kNoLeader:
      return fmt::format("CLUSTERDOWN no leader within {} ms: a majority of the members must run and reach one another",
                         deadline.count());
    case Errc::kUnknown:
      return fmt::format("UNKNOWN the command may have been applied, or may be applied later ({})", error.message());
    case Errc::kBusy:
      return fmt::format("BUSY {}", error.message());
    case Errc::kStopped:
      return "ERR this server is stopping: use another one";
    default:
      return fmt::format("ERR {}", error.message());
  }
}

}  // namespace ringraft::kv
