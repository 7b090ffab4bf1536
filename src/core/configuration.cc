#include "core/configuration.h"

#include <algorithm>
#include <utility>

#include "ringraft/options.h"  // ParseAddr

namespace ringraft::core {
namespace {

// The stored form, little-endian: u8 version; then for `voters` and for `old_voters`: u16 count, and for each peer u64
// id, u16 bytes of the address, the address.
constexpr uint8_t kFormatVersion = 1;
constexpr size_t kMaxPeers = 1024;
constexpr size_t kMaxAddrBytes = 1024;

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

const Peer* FindIn(const std::vector<Peer>& peers, NodeId id) {
  for (const Peer& peer : peers) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

std::string Name(NodeId id) { return "peer " + std::to_string(id.value()); }

}  // namespace

bool Configuration::Contains(NodeId id) const { return Find(id) != nullptr; }

const Peer* Configuration::Find(NodeId id) const {
  const Peer* peer = FindIn(voters, id);
  return peer != nullptr ? peer : FindIn(old_voters, id);
}

std::vector<Peer> Configuration::Members() const {
  std::vector<Peer> members = voters;
  for (const Peer& peer : old_voters) {
    if (FindIn(voters, peer.id) == nullptr) members.push_back(peer);
  }
  std::sort(members.begin(), members.end(), [](const Peer& a, const Peer& b) { return a.id < b.id; });
  return members;
}

std::string Configuration::Encode() const {
  std::string command;
  PutNumber(command, kFormatVersion, 1);
  PutPeers(command, voters);
  PutPeers(command, old_voters);
  return command;
}

Result<Configuration> Configuration::Decode(std::string_view command) {
  Reader reader{command};
  uint64_t version = reader.Number(1);
  if (reader.failed) return Corrupt("it is empty");
  if (version != kFormatVersion)
    return Corrupt("format version " + std::to_string(version) + ", this build reads version 1");
  auto voters = TakePeers(reader);
  if (!voters) return voters.error();
  auto old_voters = TakePeers(reader);
  if (!old_voters) return old_voters.error();
  if (voters.value().empty()) return Corrupt("it has no voters");
  if (!reader.rest.empty()) return Corrupt(std::to_string(reader.rest.size()) + " bytes follow its end");
  Configuration configuration;
  configuration.voters = std::move(voters.value());
  configuration.old_voters = std::move(old_voters.value());
  return configuration;
}

Result<Configuration> Configuration::Joint(std::span<const Peer> added, std::span<const NodeId> removed) const {
  if (is_joint()) return Error(Errc::kConfigInProgress);
  if (added.empty() && removed.empty()) {
    return Error(Errc::kInvalidArgument, "the change names no peer: add or remove at least one");
  }
  Configuration joint;
  joint.old_voters = voters;
  joint.voters = voters;
  for (size_t i = 0; i < removed.size(); ++i) {
    NodeId id = removed[i];
    if (id == NodeId(0)) return Error(Errc::kInvalidArgument, "cannot remove peer 0: ids begin at 1");
    if (std::count(removed.begin(), removed.end(), id) > 1) {
      return Error(Errc::kInvalidArgument, Name(id) + " is removed twice: name it once");
    }
    if (FindIn(voters, id) == nullptr) return Error(Errc::kNotMember, Name(id) + " is no member: nothing to remove");
    std::erase_if(joint.voters, [id](const Peer& peer) { return peer.id == id; });
  }
  for (const Peer& peer : added) {
    if (peer.id == NodeId(0)) return Error(Errc::kInvalidArgument, "cannot add peer 0: ids begin at 1");
    auto same_id = [&](const Peer& other) { return other.id == peer.id; };
    if (std::count_if(added.begin(), added.end(), same_id) > 1) {
      return Error(Errc::kInvalidArgument, Name(peer.id) + " is added twice: name it once");
    }
    if (FindIn(voters, peer.id) != nullptr) {
      return Error(Errc::kAlreadyMember, Name(peer.id) + " is a member already: remove it first to change its address");
    }
    auto addr = ParseAddr(peer.addr.text());
    if (!addr) return Error(Errc::kInvalidArgument, Name(peer.id) + ": " + addr.error().message());
    joint.voters.push_back(peer);
  }
  if (joint.voters.empty())
    return Error(Errc::kEmptyConfig, "the change would leave no member: keep or add at least one");
  if (joint.voters.size() > kMaxPeers) {
    return Error(Errc::kInvalidArgument,
                 std::to_string(joint.voters.size()) + " members are more than the limit of 1024");
  }
  std::sort(joint.voters.begin(), joint.voters.end(), [](const Peer& a, const Peer& b) { return a.id < b.id; });
  return joint;
}

}  // namespace ringraft::core
