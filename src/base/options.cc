// Checks what a user configures: the first invalid value is named, with what is accepted and what to do.
#include "ringraft/options.h"

#include <fmt/format.h>

#include <charconv>
#include <initializer_list>
#include <set>

#include "base/duration.h"
#include "base/format.h"
#include "base/try.h"

namespace ringraft {
namespace {

Error Invalid(std::string_view message) { return Error(Errc::kInvalidArgument, message); }

template <class T>
struct Range {
  const char* name;
  T value, least, most;
};

template <class T>
Result<void> CheckRanges(std::initializer_list<Range<T>> ranges, const char* unit) {
  for (const auto& [name, value, least, most] : ranges) {
    if (value < least || value > most)
      return Invalid(fmt::format("invalid {} '{}{}': expected {} to {}{}", name, value, unit, least, most, unit));
  }
  return Success();
}

Result<void> ValidateStart(const Options& options) {
  if (options.is_witness && (options.bootstrap_as_leader || !options.initial_members.empty()))
    return Invalid(
        "invalid is_witness 'true' with bootstrap_as_leader or initial_members: a witness cannot bootstrap a cluster; "
        "add it to a running one");
  // A second bootstrap, on a directory that was emptied, must not pass for the first.
  if (options.bootstrap_as_leader && !options.cluster_name.empty())
    return Invalid(
        fmt::format("invalid cluster_name '{}' with bootstrap_as_leader: the node draws a random ID for its cluster; "
                    "drop cluster_name",
                    options.cluster_name));
  if (options.bootstrap_as_leader && !options.initial_members.empty())
    return Invalid(
        "initial_members and bootstrap_as_leader are both set: a cluster is bootstrapped in one way; drop one");
  return Success();
}

Result<void> ValidateMembers(const Options& options) {
  if (options.initial_members.empty()) return Success();
  const auto invalid = [](const std::string& what) { return Invalid("invalid initial_members: " + what); };
  std::set<NodeId> ids;
  std::set<Addr> addrs;
  const Peer* self = nullptr;
  for (const Peer& peer : options.initial_members) {
    if (!peer.id) return invalid("a peer has id 0; expected at least 1");
    if (!ids.insert(peer.id).second) return invalid(fmt::format("id {} twice; expected each id once", peer.id));
    if (auto addr = ParseAddr(peer.addr.text()); !addr)
      return invalid(fmt::format("peer {}: {}", peer.id, addr.error().message()));
    if (!addrs.insert(peer.addr).second)
      return invalid(fmt::format("address {} twice; expected an address for each node", peer.addr));
    if (peer.id == options.id) self = &peer;
  }
  if (self == nullptr)
    return invalid(
        fmt::format("this node's id {} is missing; expected the same list, with all nodes, on every node", options.id));
  if (self->addr != options.addr)
    return Invalid(fmt::format("invalid addr '{}': expected '{}', the address of id {} in initial_members; correct one",
                               options.addr, self->addr, options.id));
  return Success();
}

Result<void> ValidateTimes(const Options& options) {
  const int64_t min = Milliseconds(options.election_timeout_min), max = Milliseconds(options.election_timeout_max);
  if (options.disk_stall_limit != Duration::zero())
    RINGRAFT_TRYV(CheckRanges<int64_t>(
        {{"disk_stall_limit", Milliseconds(options.disk_stall_limit), 10, 120'000}}, " ms"));
  RINGRAFT_TRYV(CheckRanges<int64_t>(
      {{"election_timeout_min", min, 10, 60'000}, {"election_timeout_max", max, 10, 120'000}}, " ms"));
  if (min >= max)
    return Invalid(fmt::format("invalid election_timeout_min '{} ms': expected less than election_timeout_max ({} ms), "
                               "or split votes repeat forever",
                               min, max));
  if (options.heartbeat_interval < std::chrono::milliseconds(1) ||
      options.heartbeat_interval > options.election_timeout_min / 2)
    return Invalid(
        fmt::format("invalid heartbeat_interval '{} ms': expected 1 ms to half of election_timeout_min ({} ms)",
                    Milliseconds(options.heartbeat_interval), min / 2));
  return Success();
}

Result<void> ValidateLimits(const Limits& limits) {
  constexpr size_t kMi = size_t{1} << 20, kMost = SIZE_MAX / 2;
  return CheckRanges<size_t>(
      {
          {"limits.max_command_bytes", limits.max_command_bytes, 1, 64 * kMi},
          {"limits.max_call_bytes", limits.max_call_bytes, limits.max_command_bytes, 256 * kMi},
          {"limits.max_call_commands", limits.max_call_commands, 1, kMi},
          {"limits.max_batch_bytes", limits.max_batch_bytes, 4096, 64 * kMi},
          {"limits.max_waiting_bytes", limits.max_waiting_bytes, limits.max_call_bytes, kMost},
          {"limits.max_waiting_calls", limits.max_waiting_calls, 1, 16 * kMi},
          {"limits.max_unapplied_bytes", limits.max_unapplied_bytes, limits.max_call_bytes, kMost},
          {"limits.peer_window_bytes", limits.peer_window_bytes, 4096, kMost},
          {"limits.peer_window_calls", limits.peer_window_calls, 1, 1024},
          {"limits.cached_tail_bytes", limits.cached_tail_bytes, 4096, kMost},
      },
      "");
}

}  // namespace

Result<void> Options::Validate() const {
  if (!id) return Invalid("invalid id '0': expected at least 1; give each node an ID of its own");
  if (auto parsed = ParseAddr(addr.text()); !parsed) return Invalid(fmt::format("addr: {}", parsed.error().message()));
  if (storage == nullptr && data_dir.empty())
    return Invalid("invalid data_dir '': expected a directory for the log; name one, or set storage");
  if (!group) return Invalid("invalid group '0': expected at least 1");
  RINGRAFT_TRYV(ValidateStart(*this));
  RINGRAFT_TRYV(ValidateMembers(*this));
  RINGRAFT_TRYV(ValidateTimes(*this));
  return ValidateLimits(limits);
}

Result<Addr> ParseAddr(std::string_view text) {
  const auto bad = [&](std::string_view defect) {
    return Invalid(fmt::format(
        "invalid address '{}': {}; expected host:port, for example 127.0.0.1:7101 or [::1]:7101", text, defect));
  };
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("no port");
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("several colons without brackets around an IPv6 host");
  }
  if (host.empty()) return bad("no host");
  if (host.find_first_of(" \t\r\n[]=,") != std::string_view::npos) return bad("invalid characters in the host");
  unsigned port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535)
    return bad("the port is not an integer from 1 to 65535");
  return Addr(text);
}

Result<Peer> ParsePeer(std::string_view text) {
  size_t equals = text.find('=');
  const auto bad = [&](std::string_view defect) {
    return Invalid(
        fmt::format("invalid peer '{}': {}; expected id=host:port, for example 1=127.0.0.1:7101", text, defect));
  };
  if (equals == std::string_view::npos) return bad("no '='");
  uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + equals, id);
  if (error != std::errc() || end != text.data() + equals || id == 0)
    return bad("the ID is not an integer of at least 1");
  RINGRAFT_TRY(addr, ParseAddr(text.substr(equals + 1)));
  return Peer(NodeId(id), std::move(addr));
}

}  // namespace ringraft
