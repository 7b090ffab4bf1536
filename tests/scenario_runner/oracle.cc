#include "oracle.h"

#include <algorithm>

#include "core/quorum.h"

namespace ringraft::scenario {

void Oracle::Claim(bool holds, const std::string& what) {
  if (!holds && violation_.empty()) violation_ = what;
}

void Oracle::OnEvent(uint64_t server, const std::vector<Witness>& all) {
  for (const Witness& witness : all) {
    if (witness.server != server || witness.core == nullptr) continue;
    witness.core->CheckInvariants();
    ObserveCommit(witness, all);
    ObserveLeader(witness);
    if (was_wiped_ || !witness.core->is_leader()) continue;
    for (const Witness& other : all) {
      Claim(witness.core->LostMatches(NodeId(other.server)) == 0, "a server has lost what it called durable");
    }
  }
}

bool Oracle::IsOnMajority(Index index, Term term, const core::Configuration& configuration,
                          const std::vector<Witness>& all) const {
  return core::HasQuorum(configuration, [&](const core::Member& voter) {
    const NodeId id = voter.id;
    auto found = std::find_if(all.begin(), all.end(), [&](const Witness& w) { return w.server == id.value(); });
    return found != all.end() && found->disk->Holds(index, term);
  });
}

void Oracle::ObserveCommit(const Witness& witness, const std::vector<Witness>& all) {
  const Index commit = witness.core->commit_index();
  const Term term = witness.core->TermAt(commit);
  if (commit <= committed()) {
    Claim(!commit || term == committed_[commit.value() - 1].term, "two different entries are committed at one index");
    return;
  }
  const bool removed_itself = led_term_[witness.server] == witness.core->term() &&
                              !witness.core->configuration().IsVoter(NodeId(witness.server));
  Claim(witness.core->is_leader() || removed_itself, "somebody else than a leader is the first to commit an entry");
  Claim(term == witness.core->term(), "an entry of an older term was committed by counting (5.4.2)");
  Claim(IsOnMajority(commit, term, witness.core->configuration(), all),
        "an entry was committed that is not durable on a majority");
  for (Index index = committed() + 1; index <= commit; ++index) {
    committed_.push_back(Committed{witness.core->TermAt(index), witness.core->term()});
  }
}

void Oracle::ObserveLeader(const Witness& witness) {
  const Term term = witness.core->term();
  if (!witness.core->is_leader() || led_term_[witness.server] == term) return;
  led_term_[witness.server] = term;
  auto [leader, is_new] = leader_of_term_.try_emplace(term, witness.server);
  Claim(leader->second == witness.server, "a term has two leaders (election safety)");
  Claim(is_new, "a server led a term twice");
  for (size_t i = 0; i < committed_.size() && !was_wiped_; ++i) {
    if (committed_[i].by >= term) continue;
    Claim(witness.core->TermAt(Index(i + 1)) == committed_[i].term, "a leader lacks a committed entry");
  }
}

void Oracle::OnVoteLeaves(uint64_t voter, Term term, uint64_t candidate, const Disk& disk) {
  auto [vote, is_new] = votes_.try_emplace({voter, term}, candidate);
  Claim(vote->second == candidate, "a server voted twice in a term");
  Claim(disk.hard_state().term > term || disk.hard_state() == HardState{term, NodeId(candidate)},
        "a vote left before it was durable");
}

void Oracle::OnAppendAnswerLeaves(const AppendEntriesArgs& args, const AppendEntriesResults& results, Term answered_in,
                                  const Disk& disk) {
  Claim(disk.hard_state().term >= answered_in || answered_in == Term(1), "an answer left before its term was durable");
  if (!results.success) return;
  const Index match = results.durable_match;
  Claim(disk.last_index() >= match, "an answer named a match that is not durable");
  const Index last = args.entries.empty() ? args.prev_index : args.entries.back().last();
  Claim(args.entries.empty() || match == last, "an answer to data named less than all of it");
  Claim(match <= last, "an answer named more than it was asked about");
  if (match == args.prev_index) Claim(disk.Holds(match, args.prev_term), "an answer named another leader's entry");
  for (const BatchRef& batch : args.entries) {
    if (match < batch.first() || match > batch.last()) continue;
    Claim(disk.Holds(match, batch.term()), "an answer named another leader's entry");
  }
}

void Oracle::OnApply(uint64_t server, const LogEntry& entry, Index applied_before, Index commit) {
  const std::string who = "server " + std::to_string(server);
  Claim(entry.index == applied_before + 1, who + " applies entries twice or out of order");
  Claim(entry.index <= commit, who + " applies what is not committed");
  const std::string told = std::to_string(entry.term.value()) + " " + std::string(entry.command);
  const uint64_t position = entry.index.value() - 1;
  if (position == applied_.size()) {
    applied_.push_back(told);
  } else if (position < applied_.size()) {
    Claim(applied_[position] == told, "two machines applied different entries at one index (state machine safety)");
  }
}

// That what is called committed is durable on a majority was seen when it first was.
void Oracle::OnAnswer(Index index, Term term) {
  Claim(index <= committed() && committed_[index.value() - 1].term == term,
        "a caller was answered although its command is not committed");
}

void Oracle::OnStart(uint64_t server) { led_term_.erase(server); }

void Oracle::OnWipe(uint64_t server) {
  was_wiped_ = true;
  std::erase_if(votes_, [&](const auto& vote) { return vote.first.first == server; });
}

namespace {

template <class TermAt>
bool Match(Index last, const TermAt& a, const TermAt& b) {
  bool must_match = false;
  for (Index index = last; index > Index(0); index = index - 1) {
    const bool matches = a(index) == b(index);
    if (must_match && !matches) return false;
    must_match = must_match || matches;
  }
  return true;
}

}  // namespace

void Oracle::CheckLogMatching(const std::vector<Witness>& all) {
  using TermAt = std::function<Term(Index)>;
  for (const Witness& a : all) {
    for (const Witness& b : all) {
      if (a.server >= b.server) continue;
      const Index on_disk = std::min(a.disk->last_index(), b.disk->last_index());
      bool match = Match<TermAt>(
          on_disk, [&](Index i) { return a.disk->TermAt(i); }, [&](Index i) { return b.disk->TermAt(i); });
      if (a.core != nullptr && b.core != nullptr) {
        const Index in_memory = std::min(a.core->last_index(), b.core->last_index());
        match = match &&
                Match<TermAt>(
                    in_memory, [&](Index i) { return a.core->TermAt(i); }, [&](Index i) { return b.core->TermAt(i); });
      }
      Claim(match, "the logs of " + std::to_string(a.server) + " and " + std::to_string(b.server) +
                       " match at an index and differ before it (log matching)");
    }
  }
}

}  // namespace ringraft::scenario
