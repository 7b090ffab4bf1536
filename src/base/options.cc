// Checking what a user configures: the first wrong value is named, with its limit and the remedy.
#include "ringraft/options.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <set>

#include "base/duration.h"

namespace ringraft {
namespace {

Error Invalid(std::string message) { return Error(Errc::kInvalidArgument, message); }

template <class T>
Result<void> InRange(const char* name, T value, T least, T most) {
  if (value >= least && value <= most) return Success();
  return Invalid(fmt::format("{} is {}; it must be from {} to {}", name, value, least, most));
}

Result<void> ValidateMembers(const Options& options) {
  if (options.is_witness && (options.bootstrap_as_leader || !options.initial_members.empty()))
    return Invalid("is_witness is set, and a witness cannot begin a cluster; add it to a running one");
  // A second founding, on a directory that was emptied, must not pass for the first.
  if (options.bootstrap_as_leader && !options.cluster_name.empty())
    return Invalid(fmt::format(
        "bootstrap_as_leader and cluster_name '{}' are both set; who founds a cluster alone gives it a random id, "
        "drop cluster_name",
        options.cluster_name));
  if (options.initial_members.empty()) return Success();
  if (options.bootstrap_as_leader)
    return Invalid(
        "initial_members and bootstrap_as_leader are both set; a cluster is started in one way only, drop one");
  std::set<NodeId> ids;
  std::set<Addr> addrs;
  const Peer* self = nullptr;
  for (const Peer& peer : options.initial_members) {
    if (!peer.id) return Invalid("initial_members has a peer with id 0; ids begin at 1");
    if (!ids.insert(peer.id).second)
      return Invalid(fmt::format("initial_members has the id {} twice; ids are unique", peer.id.value()));
    if (auto addr = ParseAddr(peer.addr.text()); !addr)
      return Invalid(fmt::format("initial_members, peer {}: {}", peer.id.value(), addr.error().message()));
    if (!addrs.insert(peer.addr).second)
      return Invalid(fmt::format("initial_members has the address {} twice; each node has its own", peer.addr.text()));
    if (peer.id == options.id) self = &peer;
  }
  if (self == nullptr)
    return Invalid(fmt::format("initial_members does not have this node's id {}; the list is the same on every node",
                               options.id.value()));
  if (self->addr != options.addr)
    return Invalid(fmt::format("addr is {} but initial_members says {} for this node's id {}; make them the same",
                               options.addr.text(), self->addr.text(), options.id.value()));
  return Success();
}

Result<void> ValidateTimes(const Options& options) {
  using std::chrono::milliseconds;
  if (options.disk_stall_limit != Duration::zero()) {
    const int64_t limit = Milliseconds(options.disk_stall_limit);
    if (auto ok = InRange<int64_t>("disk_stall_limit (ms)", limit, 10, 120'000); !ok) return ok;
  }
  int64_t min = Milliseconds(options.election_timeout_min), max = Milliseconds(options.election_timeout_max);
  if (auto ok = InRange<int64_t>("election_timeout_min (ms)", min, 10, 60'000); !ok) return ok;
  if (auto ok = InRange<int64_t>("election_timeout_max (ms)", max, 10, 120'000); !ok) return ok;
  if (min >= max)
    return Invalid(
        fmt::format("election_timeout_min is {} ms and election_timeout_max is {} ms; min must be less than max, "
                    "or elections would tie for ever",
                    min, max));
  if (options.heartbeat_interval < milliseconds(1) || options.heartbeat_interval > options.election_timeout_min / 2)
    return Invalid(
        fmt::format("heartbeat_interval is {} ms; it must be from 1 ms to half of election_timeout_min ({} ms)",
                    Milliseconds(options.heartbeat_interval), min / 2));
  return Success();
}

Result<void> ValidateLimits(const Limits& limits) {
  constexpr size_t kMiB = size_t{1} << 20;
  if (auto ok = InRange<size_t>("limits.max_command_bytes", limits.max_command_bytes, 1, 64 * kMiB); !ok) return ok;
  if (auto ok = InRange<size_t>("limits.max_call_bytes", limits.max_call_bytes, limits.max_command_bytes, 256 * kMiB);
      !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.max_call_commands", limits.max_call_commands, 1, size_t{1} << 20); !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.max_batch_bytes", limits.max_batch_bytes, 4096, 64 * kMiB); !ok) return ok;
  if (auto ok =
          InRange<size_t>("limits.max_waiting_bytes", limits.max_waiting_bytes, limits.max_call_bytes, SIZE_MAX / 2);
      !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.max_waiting_calls", limits.max_waiting_calls, 1, size_t{1} << 24); !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.max_unapplied_bytes", limits.max_unapplied_bytes, limits.max_call_bytes,
                                SIZE_MAX / 2);
      !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.peer_window_bytes", limits.peer_window_bytes, 4096, SIZE_MAX / 2); !ok)
    return ok;
  if (auto ok = InRange<size_t>("limits.peer_window_calls", limits.peer_window_calls, 1, 1024); !ok) return ok;
  return InRange<size_t>("limits.cached_tail_bytes", limits.cached_tail_bytes, 4096, SIZE_MAX / 2);
}

}  // namespace

Result<void> Options::Validate() const {
  if (!id) return Invalid("id is 0; node ids begin at 1");
  if (auto parsed = ParseAddr(addr.text()); !parsed) return Invalid(fmt::format("addr: {}", parsed.error().message()));
  if (storage == nullptr && data_dir.empty())
    return Invalid("data_dir is empty; name a directory for the log, or give a storage");
  if (!group) return Invalid("group is 0; group ids begin at 1");
  if (auto ok = ValidateMembers(*this); !ok) return ok;
  if (auto ok = ValidateTimes(*this); !ok) return ok;
  return ValidateLimits(limits);
}

Result<Addr> ParseAddr(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return Invalid(
        fmt::format("the address '{}' {}; write host:port, for example 127.0.0.1:7101 or [::1]:7101", text, why));
  };
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("has no port");
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("has several colons; an IPv6 host stands in brackets");
  }
  if (host.empty()) return bad("has no host");
  if (host.find_first_of(" \t\r\n[]=,") != std::string_view::npos)
    return bad("has a host with characters that no host has");
  unsigned port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535)
    return bad("has a port that is no number from 1 to 65535");
  return Addr(text);
}

Result<Peer> ParsePeer(std::string_view text) {
  size_t equals = text.find('=');
  auto bad = [&](std::string_view why) {
    return Invalid(fmt::format("the peer '{}' {}; write id=host:port, for example 1=127.0.0.1:7101", text, why));
  };
  if (equals == std::string_view::npos) return bad("has no '='");
  uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + equals, id);
  if (error != std::errc() || end != text.data() + equals || id == 0)
    return bad("has an id that is no number of at least 1");
  auto addr = ParseAddr(text.substr(equals + 1));
  if (!addr) return addr.error();
  return Peer(NodeId(id), addr.value());
}

}  // namespace ringraft
