#include "node/bootstrap.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "core/configuration.h"

namespace ringraft::node {
namespace {

constexpr Duration kRetryDelay = std::chrono::milliseconds(50);
constexpr Duration kAnnounceInterval = std::chrono::seconds(1);

}  // namespace

Bootstrap::Bootstrap(const Parts& parts, std::string written_members)
    : options_(parts.options),
      loop_(parts.loop),
      core_(parts.core),
      rpc_(parts.rpc),
      storage_(parts.storage),
      peers_(parts.peers),
      scope_(parts.scope),
      control_(parts.control),
      log_(parts.log),
      written_members_(std::move(written_members)) {}

// The log of a copy that is started elsewhere names the address where its original may run.
Task<void> Bootstrap::FindDuplicate() {
  const core::Member* self = core_.configuration().Find(options_.id);
  if (self == nullptr || self->addr == options_.addr) co_return;
  BootstrapArgs args;
  args.group = options_.group;
  args.to = options_.id;
  const Addr addr = self->addr;
  auto call = rpc_.CallBootstrap(addr, args);
  Result<BootstrapResults> reply = co_await call;
  const bool is_there = reply || reply.error().code() == Errc::kDuplicateNode;
  if (!is_there) co_return;
  auto refusal = RefuseDirectory(
      fmt::format("node {} runs at {} already, and this one at {} would be a copy of it; to move it, stop it there "
                  "first, then copy its directory; if this is another node, give it an empty data directory and an ID "
                  "of its own",
                  options_.id, addr, options_.addr));
  co_await refusal;
}

// Only after FindDuplicate: a copy must not announce its start, or the others would take the original for the older
// one.
void Bootstrap::Start() {
  if (core_.last_index() != Index(0)) {
    scope_.Start(Announce());
  } else if (!options_.initial_members.empty()) {
    scope_.Start(BootstrapFromList());
  }
}

// For good: each start raises the start count, so a copy that is started often enough would be taken for the later one.
Task<void> Bootstrap::RefuseDirectory(std::string why) {
  auto storing = storage_.StoreDurably(kRefusedKey, why);
  co_await storing;
  control_.Fail(Error(Errc::kDuplicateNode, std::move(why)));
}

Task<void> Bootstrap::RequestAll(std::vector<Peer> members, Replies& replies) {
  coro::Scope requests(loop_);
  for (const Peer& peer : members)
    if (peer.id != options_.id) requests.Start(Request(peer, replies));
  auto all = requests.Join();
  co_await all;
}

Task<void> Bootstrap::Request(Peer peer, Replies& replies) {
  BootstrapArgs args;
  args.group = options_.group;
  args.to = peer.id;
  auto call = rpc_.CallBootstrap(peer.addr, args);
  Result<BootstrapResults> reply = co_await call;
  if (reply) {
    replies[peer.id] = std::move(reply.value());
  } else if (reply.error().code() == Errc::kDuplicateNode && !control_.is_stopping()) {
    auto refusal = RefuseDirectory(
        fmt::format("node {} knows a later start of this data directory, or another process that runs on it: this is a "
                    "copy or a restored backup; empty the directory, start the node and readmit it",
                    peer.id));
    co_await refusal;
  }
}

// The other members learn of this start before a copy of this directory can reach them; if this is the copy, they
// reply so.
Task<void> Bootstrap::Announce() {
  Replies replies;
  for (;;) {
    std::vector<Peer> silent = core_.configuration().Members();
    std::erase_if(silent, [&](const Peer& peer) { return peer.id == options_.id || replies.contains(peer.id); });
    if (silent.empty()) co_return;
    auto requesting = RequestAll(std::move(silent), replies);
    co_await requesting;
    auto later = loop_.SleepUntil(loop_.Now() + kAnnounceInterval);
    co_await later;
  }
}

Task<void> Bootstrap::BootstrapFromList() {
  while (core_.last_index() == Index(0)) {  // otherwise a leader has admitted this node
    Replies replies;
    auto requesting = RequestAll(options_.initial_members, replies);
    co_await requesting;
    if (core_.last_index() != Index(0)) co_return;
    control_.Touch();
    switch (Compare(replies)) {
      case Agreement::kBootstrapped: {
        auto members = core::Configuration::Decode(written_members_);
        if (!members) co_return control_.Fail(members.error());
        core_.Bootstrap(members.value());
        peers_.StartGeneration(FirstGeneration(members.value().Encode()));
        control_.Touch();
        co_return;
      }
      case Agreement::kWrite: {
        // Before any other member can see it: no node ever writes two lists on one disk.
        std::string list = ListWithDirectories(replies);
        auto writing = storage_.StoreDurably(kMembersKey, list);
        co_await writing;
        written_members_ = std::move(list);
        continue;
      }
      case Agreement::kWait:
        break;
    }
    auto later = loop_.SleepUntil(loop_.Now() + kRetryDelay);
    co_await later;
  }
}

std::string Bootstrap::ListWithDirectories(const Replies& replies) const {
  core::Configuration members;
  for (const Peer& peer : options_.initial_members) {
    core::Member member(peer);
    member.incarnation = peer.id == options_.id ? peers_.self().incarnation : replies.at(peer.id).incarnation;
    members.voters.push_back(std::move(member));
  }
  std::sort(members.voters.begin(), members.voters.end());
  return members.Encode();
}

Bootstrap::Agreement Bootstrap::Compare(const Replies& replies) {
  // A member that has bootstrapped with our list has seen that all had written it. One such reply is enough: members
  // that were readmitted or added since have written nothing.
  const auto has_our_list = [this](const auto& entry) {
    return entry.second.is_bootstrapped && !written_members_.empty() && entry.second.members == written_members_;
  };
  if (std::any_of(replies.begin(), replies.end(), has_our_list)) return Agreement::kBootstrapped;
  const auto has_bootstrapped = [](const auto& entry) { return entry.second.is_bootstrapped; };
  if (std::any_of(replies.begin(), replies.end(), has_bootstrapped)) {
    LogOnce(LogLevel::kError,
            fmt::format("does not vote: the cluster has begun without this data directory ({:016x}); if node {} has "
                        "lost its own, readmit it (`ringraft readmit {}`, or ConfigChange::Readmit), otherwise add it",
                        peers_.self().incarnation, options_.id, options_.id));
    return Agreement::kWait;
  }
  std::string missing;
  for (const Peer& peer : options_.initial_members)
    if (peer.id != options_.id && !replies.contains(peer.id)) missing += fmt::format(" {}", peer.id);
  if (!missing.empty()) {
    LogOnce(LogLevel::kInfo, fmt::format("waits for node(s){}: all members of initial_members have to be there once, "
                                         "so that the cluster knows their data directories",
                                         missing));
    return Agreement::kWait;
  }
  const std::string list = ListWithDirectories(replies);
  bool have_all_written = !written_members_.empty();
  for (const auto& [id, reply] : replies) {
    const bool differs = !reply.members.empty() && reply.members != list;
    if (differs || (!written_members_.empty() && written_members_ != list)) {
      LogOnce(
          LogLevel::kError,
          fmt::format("the members do not agree on each other's data directories: one was emptied while the cluster "
                      "bootstrapped, or initial_members differs on node {}; nothing has been acknowledged yet: "
                      "stop all members, empty their directories and start them again",
                      id));
      return Agreement::kWait;
    }
    if (reply.members.empty()) have_all_written = false;
  }
  if (written_members_.empty()) return Agreement::kWrite;
  return have_all_written ? Agreement::kBootstrapped : Agreement::kWait;
}

void Bootstrap::LogOnce(LogLevel level, const std::string& message) {
  if (message == logged_) return;
  logged_ = message;
  log_.Write(level, message);
}

}  // namespace ringraft::node
