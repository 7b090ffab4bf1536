#include "cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/duration.h"
#include "cli/json.h"
#include "cli/table.h"

namespace ringraft::cli {
namespace {

constexpr size_t kMaxDataShown = 48;

bool Knows(const RaftStatus& raft) { return raft.role == Role::kLeader; }

// The leader knows when each of the others has answered last, and they when the leader has spoken.
bool KnowsContact(const RaftStatus& raft, const PeerStatus& member) {
  return !member.is_self && (Knows(raft) || (raft.leader && raft.leader->id == member.peer.id));
}

// A later version's kind has no name here.
template <class Kind>
std::string NameOf(Kind kind) {
  const std::string_view name = ToString(kind);
  return name == "?" ? fmt::format("{}", static_cast<unsigned>(kind)) : std::string(name);
}

std::string NameOf(const std::optional<Peer>& leader) {
  return leader ? fmt::format("node {} at {}", leader->id.value(), Printable(leader->addr.text())) : "none is known";
}

uint64_t InMicroseconds(Duration duration) { return static_cast<uint64_t>(Microseconds(duration)); }

std::string InMilliseconds(Duration duration) {
  return fmt::format("{:.1f}", static_cast<double>(Microseconds(duration)) / 1000);
}

std::string DataShown(const std::string& data) {
  std::string shown = Printable(data);
  if (shown.size() <= kMaxDataShown) return shown;
  size_t end = kMaxDataShown;
  while ((static_cast<unsigned char>(shown[end]) & 0xc0) == 0x80) --end;  // not inside a character
  return fmt::format("{}...", std::string_view(shown).substr(0, end));
}

void WriteMembers(const RaftStatus& raft, std::string& out) {
  Table table({{"id", Align::kRight},
               {"kind", Align::kLeft},
               {"address", Align::kLeft},
               {"match", Align::kRight},
               {"lag", Align::kRight},
               {"lag bytes", Align::kRight},
               {"lag ms", Align::kRight},
               {"in flight", Align::kRight},
               {"contact ms", Align::kRight},
               {"reachable", Align::kLeft},
               {"data", Align::kLeft}});
  for (const PeerStatus& member : raft.peers) {
    std::vector<std::string> line{std::to_string(member.peer.id.value()), NameOf(member.kind),
                                  Printable(member.peer.addr.text())};
    if (member.is_catching_up) line[1] += ", catching up";
    if (member.needs_readmission) line[1] += ", to be readmitted";
    if (Knows(raft)) {
      for (const uint64_t number : {member.match_index.value(), member.lag_entries, member.lag_bytes})
        line.push_back(std::to_string(number));
      line.push_back(InMilliseconds(member.lag_time));
      line.push_back(std::to_string(member.inflight_bytes));
    } else {
      line.resize(line.size() + 5, "-");
    }
    line.push_back(KnowsContact(raft, member) ? InMilliseconds(member.last_contact) : "-");
    line.emplace_back(!Knows(raft) ? "-" : member.is_reachable ? "yes" : "no");
    line.push_back(DataShown(member.data));
    table.Add(std::move(line));
  }
  out += table.Text();
}

void WriteMembers(const RaftStatus& raft, JsonWriter& json) {
  const auto number = [&](std::string_view name, uint64_t value, bool is_known = true) {
    json.Key(name);
    if (is_known) return json.Number(value);
    json.Null();
  };
  json.Key("members");
  json.BeginArray();
  for (const PeerStatus& member : raft.peers) {
    json.BeginObject();
    number("id", member.peer.id.value());
    json.Key("addr");
    json.Text(member.peer.addr.text());
    json.Key("kind");
    json.Text(NameOf(member.kind));
    json.Key("is_self");
    json.Bool(member.is_self);
    json.Key("is_catching_up");
    json.Bool(member.is_catching_up);
    json.Key("incarnation");
    json.Number(member.incarnation);
    json.Key("needs_readmission");
    json.Bool(member.needs_readmission);
    json.Key("data");
    json.Text(member.data);
    if (!IsUtf8(member.data)) {
      std::string hex;
      for (const unsigned char byte : member.data) hex += fmt::format("{:02x}", byte);
      json.Key("data_hex");
      json.Text(hex);
    }
    number("match_index", member.match_index.value(), Knows(raft));
    number("lag_entries", member.lag_entries, Knows(raft));
    number("lag_bytes", member.lag_bytes, Knows(raft));
    number("lag_us", InMicroseconds(member.lag_time), Knows(raft));
    number("inflight_bytes", member.inflight_bytes, Knows(raft));
    number("last_contact_us", InMicroseconds(member.last_contact), KnowsContact(raft, member));
    json.Key("is_reachable");
    if (Knows(raft)) {
      json.Bool(member.is_reachable);
    } else {
      json.Null();
    }
    json.EndObject();
  }
  json.EndArray();
}

void WriteNumbers(JsonWriter& json, std::initializer_list<std::pair<std::string_view, uint64_t>> numbers) {
  for (const auto& [name, value] : numbers) {
    json.Key(name);
    json.Number(value);
  }
}

void WriteText(JsonWriter& json, std::string_view name, std::string_view text) {
  json.Key(name);
  json.Text(text);
}

void WriteFacts(const Answered& answered, JsonWriter& json) {
  const RaftStatus& raft = answered.status.raft;
  const Identity& identity = answered.status.identity;
  WriteText(json, "asked", answered.addr.text());
  WriteNumbers(json, {{"id", raft.id.value()}});
  WriteText(json, "cluster", ToString(identity.cluster));
  WriteNumbers(json, {{"group", answered.status.group.value()},
                      {"generation", identity.generation.counter},
                      {"incarnation", identity.incarnation},
                      {"start_count", identity.start_count}});
  WriteText(json, "role", NameOf(raft.role));
  WriteNumbers(json, {{"term", raft.term.value()}});
  json.Key("leader");
  if (raft.leader) {
    json.BeginObject();
    WriteNumbers(json, {{"id", raft.leader->id.value()}});
    WriteText(json, "addr", raft.leader->addr.text());
    json.EndObject();
  } else {
    json.Null();
  }
  WriteNumbers(json, {{"last_index", raft.last_index.value()},
                      {"durable_index", raft.durable_index.value()},
                      {"commit_index", raft.commit_index.value()},
                      {"applied_index", raft.applied_index.value()},
                      {"configuration_index", raft.configuration_index.value()}});
  json.Key("is_joint");
  json.Bool(raft.is_joint);
  WriteNumbers(json, {{"waiting_calls", raft.waiting_calls}, {"waiting_bytes", raft.waiting_bytes}});
  json.Key("is_disk_stalled");
  json.Bool(raft.is_disk_stalled);
  WriteNumbers(json, {{"disk_latency_us", InMicroseconds(raft.disk_latency)}});
}

}  // namespace

std::string StatusText(const Answered& answered) {
  const RaftStatus& raft = answered.status.raft;
  const Identity& identity = answered.status.identity;
  Table table;
  const auto fact = [&table](const char* name, const std::string& text) { table.Add({name, text}); };
  fact("node",
       fmt::format("{} at {}, start {}", raft.id.value(), Printable(answered.addr.text()), identity.start_count));
  const uint64_t generation = identity.generation.counter;
  fact("cluster", fmt::format("{}, group {}, generation {}", ToString(identity.cluster), answered.status.group.value(),
                              generation == 0 ? "not known" : std::to_string(generation)));
  fact("role", fmt::format("{} in term {}", NameOf(raft.role), raft.term.value()));
  fact("leader", NameOf(raft.leader));
  fact("log", fmt::format("last {}, durable {}, committed {}, applied {}", raft.last_index.value(),
                          raft.durable_index.value(), raft.commit_index.value(), raft.applied_index.value()));
  fact("configuration",
       fmt::format("index {}{}", raft.configuration_index.value(), raft.is_joint ? ", a change is under way" : ""));
  fact("waiting", fmt::format("{} calls, {} bytes", raft.waiting_calls, raft.waiting_bytes));
  fact("disk", fmt::format("{}the last write took {} ms", raft.is_disk_stalled ? "stalled, " : "",
                           InMilliseconds(raft.disk_latency)));
  return table.Text() + "\n" + MembersText(answered);
}

std::string StatusJson(const Answered& answered) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  WriteFacts(answered, json);
  WriteMembers(answered.status.raft, json);
  json.EndObject();
  return out + "\n";
}

std::string MembersText(const Answered& answered) {
  std::string out;
  WriteMembers(answered.status.raft, out);
  if (!Knows(answered.status.raft))
    out += "Only the leader knows how far the members are, and whether it reaches them.\n";
  return out;
}

std::string MembersJson(const Answered& answered) {
  const RaftStatus& raft = answered.status.raft;
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  WriteNumbers(json, {{"told_by", raft.id.value()}});
  json.Key("is_told_by_leader");
  json.Bool(Knows(raft));
  WriteNumbers(json, {{"configuration_index", raft.configuration_index.value()}});
  json.Key("is_joint");
  json.Bool(raft.is_joint);
  WriteMembers(raft, json);
  json.EndObject();
  return out + "\n";
}

std::string WhyNotHealthy(const RaftStatus& leader, uint64_t max_lag) {
  if (!Knows(leader)) return fmt::format("node {} does not lead", leader.id.value());
  if (leader.is_disk_stalled)
    return fmt::format("the disk of node {}, which leads, is stalled: see to it, or transfer the leadership",
                       leader.id.value());
  for (const PeerStatus& member : leader.peers) {
    const uint64_t id = member.peer.id.value();
    if (member.is_catching_up) return fmt::format("node {} is catching up to become a voter", id);
    if (member.needs_readmission)
      return fmt::format("node {} runs on another data directory: readmit it if its own is lost", id);
    if (!member.is_reachable)
      return fmt::format("the leader does not reach node {} at {}", id, Printable(member.peer.addr.text()));
    // It counts as reachable before it has answered anything, and has said nothing of its data directory.
    if (!member.is_self && member.match_index == Index(0))
      return fmt::format("the leader does not know yet what node {} has of the log", id);
    if (member.lag_entries > max_lag)
      return fmt::format("node {} is {} entries behind, more than {}", id, member.lag_entries, max_lag);
  }
  if (leader.is_joint || leader.configuration_index > leader.commit_index)
    return fmt::format("the change of the members at index {} is not complete", leader.configuration_index.value());
  return {};
}

std::string Printable(std::string_view text) {
  const bool is_utf8 = IsUtf8(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool is_control = byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next < 0xa0);  // also U+0080 to U+009F
    if (is_control || (byte >= 0x80 && !is_utf8)) {
      out += fmt::format("\\x{:02x}", byte);
      if (byte == 0xc2 && is_utf8) out += fmt::format("\\x{:02x}", text[++i] & 0xff);
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace ringraft::cli
