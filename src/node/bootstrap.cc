// How a node begins: is it who it says it is, and if its log is empty, how does a cluster come of its fixed list?
//
// A member is its id together with its data directory. So the members of a fixed list first ask each other whose
// directories they have; each writes the full list down, once and for good; and when a node sees that all of them have
// written the same, it puts that into its log, and may vote. Whoever finds a directory emptied in the middle of it
// waits for ever, and says so: nothing has been acknowledged yet. Whoever finds that the others have begun without its
// directory waits to be admitted.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/configuration.h"
#include "node/node.h"

namespace ringraft::node {
namespace {

constexpr Duration kAskAgain = std::chrono::milliseconds(50);
constexpr Duration kAnnounceAgain = std::chrono::seconds(1);

}  // namespace

Task<void> Node::Begin() {
  if (core_->last_index() != Index(0)) {
    auto looking = FindDuplicate();
    co_await looking;
    // A copy tells nobody of its start, or the others would take the original for the older one.
    if (failure_.code() != Errc::kOk) co_return;
    scope_->Start(Announce());
  } else if (!options_.initial_members.empty()) {
    scope_->Start(BootstrapFromList());
  }
  auto elections = RunElections();
  co_await elections;
}

// A copy of a directory that is started elsewhere knows where its original may run.
Task<void> Node::FindDuplicate() {
  const core::Member* self = core_->configuration().Find(options_.id);
  if (self == nullptr || self->addr == options_.addr) co_return;
  BootstrapArgs args;
  args.group = options_.group;
  args.to = options_.id;
  const Addr addr = self->addr;
  auto call = rpc_->CallBootstrap(addr, args);
  Result<BootstrapResults> answer = co_await call;
  const bool is_there = answer || answer.error().code() == Errc::kDuplicateNode;
  if (!is_there) co_return;
  auto refusal = RefuseDirectory(
      fmt::format("node {} runs at {} already, and this one at {} would be its copy; if it shall move, stop it there, "
                  "and copy its directory then; if this is another node, give it an empty data directory and an id of "
                  "its own",
                  options_.id.value(), addr.text(), options_.addr.text()));
  co_await refusal;
}

// For good: every start raises the count, so that one who is started again and again would be taken for the later one.
Task<void> Node::RefuseDirectory(std::string why) {
  values_.emplace_back(kRefusedKey, why);
  const core::WriteNumber number = core_->NextWriteNumber();
  Touch();
  auto durable = Durable(number);
  co_await durable;
  Fail(Error(Errc::kDuplicateNode, std::move(why)));
}

Task<void> Node::AskAll(std::vector<Peer> members, std::map<NodeId, BootstrapResults>& answers) {
  coro::Scope asking(loop());
  for (const Peer& peer : members)
    if (peer.id != options_.id) asking.Start(AskPeer(peer, answers));
  auto all = asking.Join();
  co_await all;
}

Task<void> Node::AskPeer(Peer peer, std::map<NodeId, BootstrapResults>& answers) {
  BootstrapArgs args;
  args.group = options_.group;
  args.to = peer.id;
  auto call = rpc_->CallBootstrap(peer.addr, args);
  Result<BootstrapResults> answer = co_await call;
  if (answer) {
    answers[peer.id] = std::move(answer.value());
  } else if (answer.error().code() == Errc::kDuplicateNode && !is_stopping_) {
    auto refusal = RefuseDirectory(
        fmt::format("node {} knows a later start of this data directory, or another process that runs on it: this is a "
                    "copy or a restored backup; empty the directory, start the node and readmit it",
                    peer.id.value()));
    co_await refusal;
  }
}

// The others hear of this start before an older copy of this directory can speak to them, and they say so if this is
// the copy.
Task<void> Node::Announce() {
  std::map<NodeId, BootstrapResults> answers;
  for (;;) {
    std::vector<Peer> silent = core_->configuration().Members();
    std::erase_if(silent, [&](const Peer& peer) { return peer.id == options_.id || answers.contains(peer.id); });
    if (silent.empty()) co_return;
    auto asking = AskAll(std::move(silent), answers);
    co_await asking;
    auto later = loop().SleepUntil(loop().Now() + kAnnounceAgain);
    co_await later;
  }
}

Task<void> Node::BootstrapFromList() {
  while (core_->last_index() == Index(0)) {  // otherwise a leader has admitted this node
    std::map<NodeId, BootstrapResults> answers;
    auto asking = AskAll(options_.initial_members, answers);
    co_await asking;
    if (core_->last_index() != Index(0)) co_return;
    Touch();
    switch (Compare(answers)) {
      case Agreement::kBootstrapped: {
        auto members = core::Configuration::Decode(written_members_);
        if (!members) co_return Fail(members.error());
        core_->Bootstrap(members.value());
        identity_.generation = FirstGeneration(members.value().Encode());
        Touch();
        co_return;
      }
      case Agreement::kWrite: {
        auto writing = WriteMembers(ListWithDirectories(answers));
        co_await writing;
        continue;
      }
      case Agreement::kWait:
        break;
    }
    auto later = loop().SleepUntil(loop().Now() + kAskAgain);
    co_await later;
  }
}

// For good, before anybody is told: no node ever writes two lists on one disk, so no two lists can be complete.
Task<void> Node::WriteMembers(std::string members) {
  values_.emplace_back(kMembersKey, members);
  const core::WriteNumber number = core_->NextWriteNumber();
  Touch();
  auto durable = Durable(number);
  co_await durable;
  written_members_ = std::move(members);
}

std::string Node::ListWithDirectories(const std::map<NodeId, BootstrapResults>& answers) const {
  core::Configuration members;
  for (const Peer& peer : options_.initial_members) {
    core::Member member(peer);
    member.incarnation = peer.id == options_.id ? identity_.incarnation : answers.at(peer.id).incarnation;
    members.voters.push_back(std::move(member));
  }
  std::sort(members.voters.begin(), members.voters.end());
  return members.Encode();
}

Node::Agreement Node::Compare(const std::map<NodeId, BootstrapResults>& answers) {
  // Whoever has begun with our list has seen that all had written it. One such answer is enough: others, who were
  // readmitted or added since, have written nothing.
  const auto has_our_list = [this](const auto& entry) {
    return entry.second.is_bootstrapped && !written_members_.empty() && entry.second.members == written_members_;
  };
  if (std::any_of(answers.begin(), answers.end(), has_our_list)) return Agreement::kBootstrapped;
  const auto has_begun = [](const auto& entry) { return entry.second.is_bootstrapped; };
  if (std::any_of(answers.begin(), answers.end(), has_begun)) {
    TellOnce(LogLevel::kError,
             fmt::format("does not vote: the cluster has begun without this data directory ({:016x}); if node {} has "
                         "lost its own, readmit it (RAFT READMIT {}), otherwise add it",
                         identity_.incarnation, options_.id.value(), options_.id.value()));
    return Agreement::kWait;
  }
  std::string missing;
  for (const Peer& peer : options_.initial_members)
    if (peer.id != options_.id && !answers.contains(peer.id)) missing += fmt::format(" {}", peer.id.value());
  if (!missing.empty()) {
    TellOnce(LogLevel::kInfo, fmt::format("waits for node(s){}: all members of initial_members have to be there once, "
                                          "so that the cluster knows their data directories",
                                          missing));
    return Agreement::kWait;
  }
  const std::string list = ListWithDirectories(answers);
  bool have_all_written = !written_members_.empty();
  for (const auto& [id, answer] : answers) {
    const bool differs = !answer.members.empty() && answer.members != list;
    if (differs || (!written_members_.empty() && written_members_ != list)) {
      TellOnce(LogLevel::kError,
               fmt::format("the members do not agree on whose data directories they have: one was emptied while the "
                           "cluster began, or the lists differ (asked node {}); nothing has been acknowledged yet: "
                           "stop all members, empty their directories and start them again",
                           id.value()));
      return Agreement::kWait;
    }
    if (answer.members.empty()) have_all_written = false;
  }
  if (written_members_.empty()) return Agreement::kWrite;
  return have_all_written ? Agreement::kBootstrapped : Agreement::kWait;
}

void Node::TellOnce(LogLevel level, const std::string& message) {
  if (message == told_) return;
  told_ = message;
  logger_->Write(level, fmt::format("{}: {}", Name(), message));
}

}  // namespace ringraft::node
