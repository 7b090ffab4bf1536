#include "cli/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

namespace ringraft::cli {
namespace {

// Until when to wait for one of several nodes, so that there is time for the others.
TimePoint Share(Network& network, TimePoint deadline, size_t nodes) {
  const TimePoint now = network.Now();
  return deadline <= now ? deadline : now + (deadline - now) / static_cast<int>(std::max<size_t>(nodes, 1));
}

bool IsUnknown(const Error& error) { return error == Errc::kTimedOut || error == Errc::kUnknown; }

bool IsOver(const Error& error) {
  return error == Errc::kUnreachable || error == Errc::kStopped || error == Errc::kNotLeader;
}

// kNotLeader with the leader, for a node that does not lead.
Result<Answered> StatusOfLeader(Node& node, const Addr& addr, TimePoint deadline) {
  Result<AdminStatus> status = node.Status(deadline);
  if (!status) return status.error();
  if (status.value().raft.role != Role::kLeader) return Error::NotLeader(status.value().raft.leader);
  return Answered{addr, std::move(status).assume_value()};
}

// Goes from node to node until `ask` gets another answer than that the node does not lead. A node that is named as the
// leader comes next; otherwise it is their turn in the order in which the operator named them.
template <class T, class Ask>
Result<T> Follow(Network& network, const std::vector<Addr>& nodes, TimePoint deadline, const Ask& ask) {
  constexpr bool is_order = std::is_void_v<T>;
  std::optional<Addr> named;
  size_t next = 0, unreachable = 0;
  bool is_late = false;  // one of them has been silent
  std::string heard;
  const auto pause = [&] { network.Sleep(std::clamp<Duration>(deadline - network.Now(), Duration::zero(), kPause)); };
  do {
    const Addr addr = named ? *named : nodes[next++ % nodes.size()];
    const bool was_named = std::exchange(named, std::nullopt).has_value();
    auto node = network.Connect(addr, Share(network, deadline, nodes.size() + 1));
    Result<T> answer = node ? ask(*node.value(), addr) : Result<T>(node.error());
    // A question may be put to the next one, whatever has become of it, and so may an order that the node has not been
    // given since it did not let us in.
    if (!answer && IsUnknown(answer.error()) && (!node || !is_order)) {
      is_late = true;
      answer = Error(Errc::kUnreachable, answer.error().message());
    }
    if (answer || !IsOver(answer.error())) return answer;
    heard = answer.error().message();
    const std::optional<Peer> leader = answer.error().leader();
    if (leader && leader->addr != addr) {
      named = leader->addr;
      if (was_named) pause();  // the two name each other: an election is under way
      continue;
    }
    if (answer.error() == Errc::kUnreachable && !was_named && ++unreachable >= nodes.size()) {
      const char* const others = nodes.size() > 1 ? "none of the nodes can be reached; the last one is " : "";
      return Error(is_late && !is_order ? Errc::kTimedOut : Errc::kUnreachable, fmt::format("{}{}", others, heard));
    }
    if (answer.error() != Errc::kUnreachable) unreachable = 0;
    if (was_named || next % nodes.size() == 0) pause();
  } while (network.Now() < deadline);
  return Error(Errc::kNoLeader, fmt::format("no leader was found ({}); a majority of the voters has to run, and to "
                                            "reach each other and this tool: look at 'status' of each, and try again",
                                            heard));
}

}  // namespace

Result<Answered> AskAny(Network& network, const std::vector<Addr>& nodes, TimePoint deadline) {
  std::string heard;
  Errc code = Errc::kUnreachable;
  for (size_t i = 0; i < nodes.size(); ++i) {
    const TimePoint until = Share(network, deadline, nodes.size() - i);
    auto node = network.Connect(nodes[i], until);
    Result<AdminStatus> status = node ? node.value()->Status(until) : Result<AdminStatus>(node.error());
    if (status) return Answered{nodes[i], std::move(status).assume_value()};
    if (nodes.size() == 1) return status.error();
    if (status.error() != Errc::kUnreachable) code = status.error().code();
    heard += fmt::format("{}{}", heard.empty() ? "" : "; ", status.error().message());
  }
  return Error(code, fmt::format("none of the {} nodes answers: {}", nodes.size(), heard));
}

Result<Answered> AskLeader(Network& network, const std::vector<Addr>& nodes, TimePoint deadline) {
  return Follow<Answered>(network, nodes, deadline, [&](Node& node, const Addr& addr) {
    return StatusOfLeader(node, addr, Share(network, deadline, nodes.size() + 1));
  });
}

Result<void> Send(Network& network, const std::vector<Addr>& nodes, const Order& order, TimePoint deadline) {
  return Follow<void>(network, nodes, deadline, [&](Node& node, const Addr&) { return node.Do(order, deadline); });
}

}  // namespace ringraft::cli
