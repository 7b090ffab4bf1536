#include "story.h"

#include "core/configuration.h"

namespace ringraft::scenario {

std::string Text(Index index) { return std::to_string(index.value()); }
std::string Text(Term term) { return std::to_string(term.value()); }
std::string Text(NodeId id) { return std::to_string(id.value()); }

std::string Position(Index index, Term term) { return "(" + Text(index) + ", " + Text(term) + ")"; }

std::string Range(Index first, Index last) { return first == last ? Text(first) : Text(first) + ".." + Text(last); }

std::string Milliseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) + "ms";
}

std::string Servers(const std::vector<uint64_t>& servers) {
  std::string text;
  for (uint64_t server : servers) text += (text.empty() ? "" : " ") + std::to_string(server);
  return text;
}

namespace {

std::string Set(const std::vector<core::Member>& peers) {
  std::vector<uint64_t> servers;
  for (const Peer& peer : peers) servers.push_back(peer.id.value());
  return "{" + Servers(servers) + "}";
}

}  // namespace

std::string Voters(const core::Configuration& configuration) {
  const std::string text = Set(configuration.voters);
  return configuration.is_joint() ? Set(configuration.old_voters) + "->" + text : text;
}

std::string Members(const core::Configuration& configuration) {
  std::string text = Voters(configuration);
  if (!configuration.learners.empty()) text += " learners " + Set(configuration.learners);
  return text;
}

std::string RoleName(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "";
}

std::string EntryRuns(const std::vector<BatchRef>& batches) {
  std::vector<std::string> runs;
  for (size_t i = 0; i < batches.size();) {
    size_t end = i;
    while (end + 1 < batches.size() && batches[end + 1].term() == batches[i].term()) ++end;
    runs.push_back(Range(batches[i].first(), batches[end].last()) + " of term " + Text(batches[i].term()));
    i = end + 1;
  }
  return runs.empty() ? "nothing" : Join(runs);
}

std::string Entry(const LogEntry& entry) {
  switch (entry.type) {
    case LogEntryType::kNoop:
      return "no-op";
    case LogEntryType::kCommand:
      return std::string(entry.command.substr(0, 40));
    case LogEntryType::kConfiguration:
      break;
  }
  auto configuration = core::Configuration::Decode(entry.command);
  return configuration ? Members(configuration.value()) : "an unreadable configuration";
}

std::string Entries(const std::vector<BatchRef>& batches, Term term) {
  constexpr size_t kFew = 3;
  std::vector<std::string> few;
  for (const BatchRef& batch : batches) {
    for (const LogEntry& entry : batch) {
      few.push_back(Text(entry.index) + " " + Entry(entry) +
                    (entry.term == term ? "" : " of term " + Text(entry.term)));
    }
  }
  return few.size() > kFew ? EntryRuns(batches) : Join(few);
}

std::string VoteRequest(const RequestVoteArgs& args) {
  return "term " + Text(args.term) + ", last " + Position(args.last_index, args.last_term) +
         (args.is_transfer ? ", transfer" : "");
}

std::string VoteAnswer(const RequestVoteResults& results) {
  return "term " + Text(results.term) + ", " + (results.vote_granted ? "granted" : "refused");
}

std::string AppendRequest(const AppendEntriesArgs& args) {
  return "term " + Text(args.term) + ", prev " + Position(args.prev_index, args.prev_term) + ", " +
         (args.entries.empty() ? "" : EntryRuns(args.entries) + ", ") + "commit " + Text(args.leader_commit) +
         (args.timeout_now ? ", timeout-now" : "");
}

std::string AppendAnswer(const AppendEntriesResults& results) {
  if (results.success) return "term " + Text(results.term) + ", match " + Text(results.durable_match);
  return "term " + Text(results.term) + ", refused, hint " + Position(results.conflict.index, results.conflict.term);
}

namespace {

std::string FollowerChange(const View& before, const View& after) {
  const std::string new_term = before.term == after.term ? "" : "term " + Text(after.term);
  const bool has_new_leader = after.leader && (after.leader != before.leader || after.term != before.term);
  std::vector<std::string> parts;
  if (before.role == Role::kLeader) parts.push_back("steps down");
  if ((before.role == Role::kPreCandidate || before.role == Role::kCandidate) && !has_new_leader) {
    parts.push_back("abandons its campaign");
  }
  if (has_new_leader) {
    parts.push_back("follows " + Text(after.leader) + (new_term.empty() ? "" : " in " + new_term));
  } else {
    parts.push_back(new_term);
  }
  return Join(parts);
}

}  // namespace

std::string RoleChange(const View& before, const View& after) {
  const bool is_same = before.role == after.role && before.term == after.term;
  switch (after.role) {
    case Role::kLeader:
      return is_same ? "" : "becomes leader of term " + Text(after.term);
    case Role::kCandidate:
      return is_same ? "" : "becomes candidate in term " + Text(after.term);
    case Role::kPreCandidate:
      return is_same ? "" : "becomes pre-candidate for term " + Text(after.term + 1);
    case Role::kFollower:
      return FollowerChange(before, after);
  }
  return "";
}

std::string Join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    text += (text.empty() ? "" : separator) + part;
  }
  return text;
}

}  // namespace ringraft::scenario
