// How a configuration is stored and sent: schemas/stored.md, "A configuration".
#include <string>
#include <utility>

#include "core/configuration.h"

namespace ringraft::core {
namespace {

constexpr uint8_t kOnlyVoters = 1;  // a configuration without learners and data is stored in this version still
constexpr uint8_t kVersion = 2;

void PutNumber(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

void PutPeers(std::string& out, const std::vector<Peer>& peers) {
  PutNumber(out, peers.size(), 2);
  for (const Peer& peer : peers) {
    PutNumber(out, peer.id.value(), 8);
    PutNumber(out, peer.addr.text().size(), 2);
    out += peer.addr.text();
  }
}

Error Corrupt(std::string_view cause) {
  return Error(Errc::kCorrupt, "a configuration entry is malformed: " + std::string(cause));
}

// Takes bytes from the front of a text; after the first that is missing, everything fails.
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

Result<std::vector<Peer>> TakePeers(Reader& reader) {
  uint64_t count = reader.Number(2);
  if (count > kMaxPeers) return Corrupt("it names " + std::to_string(count) + " peers, more than the limit of 1024");
  std::vector<Peer> peers;
  for (uint64_t i = 0; i < count; ++i) {
    NodeId id(reader.Number(8));
    uint64_t addr_bytes = reader.Number(2);
    std::string_view addr = reader.Text(addr_bytes);
    if (reader.failed) return Corrupt("it ends inside a peer");
    if (id == NodeId(0)) return Corrupt("a peer has id 0");
    if (!peers.empty() && peers.back().id >= id)
      return Corrupt("the ids do not ascend at " + std::to_string(id.value()));
    if (addr_bytes == 0 || addr_bytes > kMaxAddrBytes) {
      return Corrupt("the address of peer " + std::to_string(id.value()) + " has " + std::to_string(addr_bytes) +
                     " bytes, not 1 to 1024");
    }
    peers.emplace_back(id, Addr(addr));
  }
  if (reader.failed) return Corrupt("it ends before its peers");
  return peers;
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
      return Corrupt("the data of " + std::to_string(id.value()) + " is out of order, or of no member");
    if (bytes == 0 || bytes > kMaxMemberDataBytes) {
      return Corrupt("the data of peer " + std::to_string(id.value()) + " has " + std::to_string(bytes) +
                     " bytes, not 1 to 4096");
    }
    configuration.data.emplace(id, data);
    last = id;
  }
  if (reader.failed) return Corrupt("it ends before the data of its members");
  return Success();
}

}  // namespace

std::string Configuration::Encode() const {
  const uint8_t version = learners.empty() && data.empty() ? kOnlyVoters : kVersion;
  std::string command;
  PutNumber(command, version, 1);
  PutPeers(command, voters);
  PutPeers(command, old_voters);
  if (version == kOnlyVoters) return command;
  PutPeers(command, learners);
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
  if (version != kOnlyVoters && version != kVersion)
    return Corrupt("format version " + std::to_string(version) + ", this build reads versions 1 and 2");
  Configuration configuration;
  auto voters = TakePeers(reader);
  if (!voters) return voters.error();
  configuration.voters = std::move(voters.value());
  auto old_voters = TakePeers(reader);
  if (!old_voters) return old_voters.error();
  configuration.old_voters = std::move(old_voters.value());
  if (configuration.voters.empty()) return Corrupt("it has no voters");
  if (version == kVersion) {
    auto learners = TakePeers(reader);
    if (!learners) return learners.error();
    for (const Peer& learner : learners.value()) {
      if (configuration.IsNewVoter(learner.id))
        return Corrupt("peer " + std::to_string(learner.id.value()) + " is a voter and a learner");
    }
    configuration.learners = std::move(learners.value());
    auto data = TakeData(reader, configuration);
    if (!data) return data.error();
  }
  if (!reader.rest.empty()) return Corrupt(std::to_string(reader.rest.size()) + " bytes follow its end");
  return configuration;
}

}  // namespace ringraft::core
