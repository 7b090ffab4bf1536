// The wording of messages, logs and roles in a story. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "core/core.h"

namespace ringraft::scenario {

// The visible state of a server, before or after an event.
struct View {
  Role role = Role::kFollower;
  Term term;
  NodeId leader;
  NodeId vote;
  Index last;
  Index durable;
  Index commit;
  Index applied;
  Index configuration;  // of its entry
};

std::string Text(Index index);
std::string Text(Term term);
std::string Text(NodeId id);
std::string Position(Index index, Term term);                   // "(3, 2)"
std::string Range(Index first, Index last);                     // "3" or "3..5"
std::string Milliseconds(Duration duration);                    // "120ms"
std::string Voters(const core::Configuration& configuration);   // "{1 2 3}" or "{1 2 3}->{1 2 4}"
std::string Members(const core::Configuration& configuration);  // "{1 2 3}", "{1 2 3}->{1 2 4} learners {5}"
std::string Servers(const std::vector<uint64_t>& servers);      // "1 2 3"
std::string RoleName(Role role);

// "2..4 of term 1, 5 of term 2"; "nothing".
std::string EntryRuns(const std::vector<BatchRef>& batches);
// The same with their contents if they are few: "3 x, 4 no-op"; the term only if it is not `term`.
std::string Entries(const std::vector<BatchRef>& batches, Term term);
std::string Entry(const LogEntry& entry);

// Requests and replies as the receiver sees them, without the sender.
std::string VoteRequest(const RequestVoteArgs& args);
std::string VoteAnswer(const RequestVoteResults& results);
std::string AppendRequest(const AppendEntriesArgs& args);
std::string AppendAnswer(const AppendEntriesResults& results);

// The change of role and term; empty if there is none.
std::string RoleChange(const View& before, const View& after);

// Joins the parts that are not empty.
std::string Join(const std::vector<std::string>& parts, const std::string& separator = ", ");

}  // namespace ringraft::scenario
