#include "core_driver/oracle.h"

#include <algorithm>

#include "core/quorum.h"

namespace ringraft::core {
namespace {

// Whether logs that match at an index match at all indexes before it.
template <class TermAtA, class TermAtB>
bool Match(Index last, const TermAtA& a, const TermAtB& b) {
  bool must_match = false;
  for (Index index = last; index > Index(0); index = index - 1) {
    const bool matches = a(index) == b(index);
    if (must_match && !matches) return false;
    must_match = must_match || matches;
  }
  return true;
}

}  // namespace

void Oracle::OnEvent(uint64_t server, const DrivenCores& all) {
  const Core& core = *all.at(server)->core;
  ObserveCommit(server, core, all);
  ObserveLeader(server, core);
  if (was_wiped_ || !core.is_leader()) return;
  for (const auto& [other, driven] : all) {
    Claim(core.LostMatches(NodeId(other)) == 0, "a server has lost entries that it had acknowledged");
  }
}

void Oracle::ObserveCommit(uint64_t server, const Core& core, const DrivenCores& all) {
  const Index commit = core.commit_index();
  if (commit <= committed()) {
    Claim(!commit || core.TermAt(commit) == committed_[commit.value() - 1].term,
          "two different entries are committed at one index");
    return;
  }
  const bool has_removed_itself = led_term_[server] == core.term() && !core.configuration().IsVoter(NodeId(server));
  Claim(core.is_leader() || has_removed_itself, "a server that is not a leader is the first to commit an entry");
  const Term term = core.TermAt(commit);
  Claim(term == core.term(), "an entry of an older term was committed by counting (5.4.2)");
  auto has = [&](const Member& voter) {
    auto found = all.find(voter.id.value());
    return found != all.end() && found->second->disk.history().Match(commit, term);
  };
  Claim(HasQuorum(core.configuration(), has), "an entry was committed that is not durable on a majority");
  for (Index index = committed() + 1; index <= commit; ++index) {
    committed_.push_back(Committed{core.TermAt(index), core.term()});
  }
}

void Oracle::ObserveLeader(uint64_t server, const Core& core) {
  const Term term = core.term();
  if (!core.is_leader() || led_term_[server] == term) return;
  led_term_[server] = term;
  auto [leader, is_new] = leader_of_term_.try_emplace(term, server);
  Claim(leader->second == server, "a term has two leaders (election safety)");
  Claim(is_new, "a server led a term twice");
  for (size_t i = 0; i < committed_.size() && !was_wiped_; ++i) {
    if (committed_[i].by >= term) continue;
    Claim(core.TermAt(Index(i + 1)) == committed_[i].term, "a leader lacks a committed entry (leader completeness)");
  }
}

void Oracle::OnVoteSent(uint64_t voter, Term term, NodeId candidate, const Disk& disk) {
  auto [vote, is_new] = votes_.try_emplace({voter, term}, candidate);
  Claim(vote->second == candidate, "a server voted twice in a term");
  Claim(disk.hard_state().term > term || disk.hard_state() == HardState{term, candidate},
        "a vote was sent before it was durable");
}

void Oracle::OnAppendReplySent(const AppendEntriesArgs& args, const AppendEntriesResults& results, Term replied_in,
                               const Disk& disk) {
  Claim(disk.hard_state().term >= replied_in || replied_in == Term(1), "a reply was sent before its term was durable");
  if (!results.success) return;
  const Index match = results.durable_match;
  const TermHistory& log = disk.history();
  Claim(log.last_index() >= match, "a reply named a match that is not durable");
  const Index last = args.entries.empty() ? args.prev_index : args.entries.back().last();
  Claim(args.entries.empty() || match == last, "a reply to data named less than all of it");
  Claim(match <= last, "a reply named more than the request");
  if (match == args.prev_index) Claim(log.Match(match, args.prev_term), "a reply named another leader's entry");
  for (const BatchRef& batch : args.entries) {
    if (match < batch.first() || match > batch.last()) continue;
    Claim(log.Match(match, batch.term()), "a reply named another leader's entry");
  }
}

void Oracle::OnApply(uint64_t server, const LogEntry& entry, Index applied_before, Index commit) {
  auto violate = [&](const char* what) { Violate("server " + std::to_string(server) + " " + what); };
  if (entry.index != applied_before + 1) violate("applies entries twice or out of order");
  if (entry.index > commit) violate("applies an entry that is not committed");
  std::string applied = std::to_string(entry.term.value()) + " " + std::string(entry.command);
  const uint64_t position = entry.index.value() - 1;
  if (position == applied_.size()) {
    applied_.push_back(std::move(applied));
  } else if (position < applied_.size()) {
    Claim(applied_[position] == applied, "two machines applied different entries at one index (state machine safety)");
  }
}

// That a committed entry is durable on a majority was checked when it was first seen as committed.
void Oracle::OnResult(Index index, Term term) {
  Claim(index <= committed() && committed_[index.value() - 1].term == term,
        "a caller got a result although its command is not committed");
}

void Oracle::OnStart(uint64_t server) { led_term_.erase(server); }

void Oracle::OnWipe(uint64_t server) {
  was_wiped_ = true;
  std::erase_if(votes_, [&](const auto& vote) { return vote.first.first == server; });
}

void Oracle::CheckLogMatching(const DrivenCores& all) {
  for (auto a = all.begin(); a != all.end(); ++a) {
    for (auto b = std::next(a); b != all.end(); ++b) {
      const TermHistory& log_a = a->second->disk.history();
      const TermHistory& log_b = b->second->disk.history();
      bool match = Match(
          std::min(log_a.last_index(), log_b.last_index()), [&](Index i) { return log_a.TermAt(i); },
          [&](Index i) { return log_b.TermAt(i); });
      const Core* core_a = a->second->core.get();
      const Core* core_b = b->second->core.get();
      if (core_a != nullptr && core_b != nullptr) {
        match = match && Match(
                             std::min(core_a->last_index(), core_b->last_index()),
                             [&](Index i) { return core_a->TermAt(i); }, [&](Index i) { return core_b->TermAt(i); });
      }
      if (match) continue;
      Violate("the logs of " + std::to_string(a->first) + " and " + std::to_string(b->first) +
              " match at an index and differ before it (log matching)");
    }
  }
}

}  // namespace ringraft::core
