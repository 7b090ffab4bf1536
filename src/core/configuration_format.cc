// The stored and sent form of a configuration: schemas/stored.md, "A configuration".
#include <string>
#include <utility>

#include "base/format.h"
#include "base/try.h"
#include "core/configuration.h"

namespace ringraft::core {
namespace {

// Format versions. A configuration is written in the lowest one that can hold it, so that older builds can read it.
constexpr uint8_t kOnlyVoters = 1;
constexpr uint8_t kWithLearners = 2;     // and data of members
constexpr uint8_t kWithDirectories = 3;  // and incarnations and witnesses
constexpr uint8_t kWitness = 1;          // a flag of a member

void PutNumber(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

void PutMembers(std::string& out, const std::vector<Member>& members, uint8_t version) {
  PutNumber(out, members.size(), 2);
  for (const Member& member : members) {
    PutNumber(out, member.id.value(), 8);
    PutNumber(out, member.addr.text().size(), 2);
    out += member.addr.text();
    if (version < kWithDirectories) continue;
    PutNumber(out, member.incarnation, 8);
    PutNumber(out, member.is_witness ? kWitness : 0, 1);
  }
}

Error Corrupt(std::string_view cause) {
  return Error(Errc::kCorrupt, fmt::format("malformed configuration entry: {}", cause));
}

// Reads from the front of a text. Once bytes are missing, all further reads fail.
struct Reader {
  std::string_view rest;
  bool failed = false;

  uint64_t Number(size_t bytes) {
    std::string_view text = Text(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < text.size(); ++i) value |= uint64_t{static_cast<uint8_t>(text[i])} << (8 * i);
    return value;
  }
  std::string_view Text(size_t bytes) {
    if (failed || bytes > rest.size()) {
      failed = true;
      return {};
    }
    std::string_view text = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    return text;
  }
};

Result<std::vector<Member>> TakeMembers(Reader& reader, uint64_t version) {
  uint64_t count = reader.Number(2);
  if (count > kMaxPeers) return Corrupt(fmt::format("{} peers; at most {} are allowed", count, kMaxPeers));
  std::vector<Member> members;
  for (uint64_t i = 0; i < count; ++i) {
    NodeId id(reader.Number(8));
    uint64_t addr_bytes = reader.Number(2);
    Member member(id, Addr(reader.Text(addr_bytes)));
    uint64_t flags = 0;
    if (version >= kWithDirectories) {
      member.incarnation = reader.Number(8);
      flags = reader.Number(1);
    }
    if (reader.failed) return Corrupt("it ends inside a peer");
    if (id == NodeId(0)) return Corrupt("a peer has ID 0; expected at least 1");
    if (!members.empty() && members.back().id >= id) return Corrupt(fmt::format("ID {} is out of order", id));
    if (addr_bytes == 0 || addr_bytes > kMaxAddrBytes)
      return Corrupt(
          fmt::format("the address of peer {} has {} bytes; expected 1 to {}", id, addr_bytes, kMaxAddrBytes));
    if (flags > kWitness) return Corrupt(fmt::format("peer {} has unknown flags", id));
    member.is_witness = flags == kWitness;
    members.push_back(std::move(member));
  }
  if (reader.failed) return Corrupt("it ends before its peers");
  return members;
}

Result<void> TakeData(Reader& reader, Configuration& configuration) {
  uint64_t count = reader.Number(2);
  NodeId last;
  for (uint64_t i = 0; i < count; ++i) {
    NodeId id(reader.Number(8));
    uint64_t bytes = reader.Number(2);
    std::string_view data = reader.Text(bytes);
    if (reader.failed) return Corrupt("it ends inside the data of a member");
    if (id <= last || !configuration.Contains(id))
      return Corrupt(fmt::format("the data of peer {} is out of order, or it is not a member", id));
    if (bytes == 0 || bytes > kMaxMemberDataBytes)
      return Corrupt(fmt::format("the data of peer {} has {} bytes; expected 1 to {}", id, bytes, kMaxMemberDataBytes));
    configuration.data.emplace(id, data);
    last = id;
  }
  if (reader.failed) return Corrupt("it ends before the data of its members");
  return Success();
}

}  // namespace

uint8_t Configuration::FormatVersion() const {
  for (const std::vector<Member>* members : {&voters, &old_voters, &learners}) {
    for (const Member& member : *members) {
      if (member.incarnation != 0 || member.is_witness) return kWithDirectories;
    }
  }
  return learners.empty() && data.empty() ? kOnlyVoters : kWithLearners;
}

std::string Configuration::Encode() const {
  const uint8_t version = FormatVersion();
  std::string command;
  PutNumber(command, version, 1);
  PutMembers(command, voters, version);
  PutMembers(command, old_voters, version);
  if (version == kOnlyVoters) return command;
  PutMembers(command, learners, version);
  PutNumber(command, data.size(), 2);
  for (const auto& [id, bytes] : data) {
    PutNumber(command, id.value(), 8);
    PutNumber(command, bytes.size(), 2);
    command += bytes;
  }
  return command;
}

Result<Configuration> Configuration::Decode(std::string_view command) {
  Reader reader{command};
  uint64_t version = reader.Number(1);
  if (reader.failed) return Corrupt("it is empty");
  if (version < kOnlyVoters || version > kWithDirectories)
    return Corrupt(fmt::format("format version {}; this build reads versions 1 to 3", version));
  Configuration configuration;
  RINGRAFT_TRY(voters, TakeMembers(reader, version));
  configuration.voters = std::move(voters);
  RINGRAFT_TRY(old_voters, TakeMembers(reader, version));
  configuration.old_voters = std::move(old_voters);
  if (configuration.voters.empty()) return Corrupt("it has no voters");
  if (version >= kWithLearners) {
    RINGRAFT_TRY(learners, TakeMembers(reader, version));
    for (const Member& learner : learners) {
      if (configuration.IsNewVoter(learner.id) || learner.is_witness)
        return Corrupt(fmt::format("peer {} is a voter and a learner", learner.id));
    }
    configuration.learners = std::move(learners);
    RINGRAFT_TRYV(TakeData(reader, configuration));
  }
  if (!reader.rest.empty()) return Corrupt(fmt::format("{} bytes follow its end", reader.rest.size()));
  return configuration;
}

}  // namespace ringraft::core
