#include "sim/oracle.h"

#include <fmt/format.h>

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/format.h"

namespace ringraft::sim {
namespace {

uint64_t ContentOf(const LogEntry& entry) {
  return XXH3_64bits_withSeed(entry.command.data(), entry.command.size(), static_cast<uint64_t>(entry.type));
}

const char* RoleName(Role role) {
  switch (role) {
    case Role::kLeader:
      return "leads";
    case Role::kCandidate:
      return "stands";
    case Role::kFollower:
      return "follows";
    default:
      return "asks whether it could win";
  }
}

constexpr uint64_t kTurnsPerFullCheck = 16;

}  // namespace

// A line "hazards" names the rows of tests/CATALOGUE.md that a rule tests; the catalogue is generated from them.
std::vector<std::string_view> Oracle::Rules() {
  return {
      // hazards: A22
      "at most one leader per term",
      "an index and term identify one entry",
      "an index and term identify one log prefix",
      "a leader has all committed entries",
      // hazards: B4
      "committed entries never change",
      "all state machines apply the same entries",
      // hazards: E9
      "a state machine applies entries in order, each once",
      "only committed entries are applied",
      // hazards: F14
      "a durable state machine gets only durable entries",
      "a command that succeeded was applied",
      "terms never decrease",
      // hazards: B3
      "the commit index never decreases",
      // hazards: C2
      "committed entries are durable on a majority",
      "a node votes once per term",
      // hazards: A1
      "a vote is sent only after it is durable",
      "a candidate requests votes only after its own vote is durable",
      "an append reply acknowledges only durable entries",
      "a reply is sent only after its term is durable",
      "the stored term and vote never regress",
      // hazards: B4
      "committed entries are never removed from a disk",
      "a restarted node has the term, vote and log of its disk",
      // hazards: B18
      "queues stay within their limits",
      "the core's own invariants",
      "a damaged batch is detected by its checksum",
      "writes to a log are contiguous",
      // hazards: E8
      "a command that certainly failed is never applied",
      // hazards: B19
      "every call ends in time",
      "a run ends",
      "a node starts from its own disk",
      "a copied node has no influence",
      "a copied node is refused",
      "the cluster recovers after all faults end",
      "all nodes end in the same state",
      // hazards: E6
      "the history is linearizable",
  };
}

// --- lives ---

// Called after its first turn: what it decided in that turn has been submitted to the disk, and counts.
void Oracle::OnStarted(const Subject& subject) {
  Life& life = lives_[subject.id];
  life = Life();
  const core::Core& core = *subject.core;
  const Memory& disk = *MemoryOf(subject.id);
  bool same = core.last_index().value() == disk.terms.size() && core.term() == disk.hard_state.term &&
              core.vote() == disk.hard_state.vote;
  for (size_t i = 0; same && i < disk.terms.size(); ++i) same = core.TermAt(Index(i + 1)) == disk.terms[i];
  if (!same)
    world_.Fail("a restarted node has the term, vote and log of its disk",
                fmt::format("node {} starts with last index {}, term {}, vote {}; its disk has last index {}, term {}, "
                            "vote {}",
                            subject.id, core.last_index(), core.term(), core.vote(),
                            disk.terms.size(), disk.hard_state.term, disk.hard_state.vote));
  life.term = core.term();
  life.commit = core.commit_index();
  life.applied = core.applied_index();
  life.machine = core.applied_index();
  life.members = core.configuration();
  life.members_index = core.configuration_index();
}

void Oracle::OnEnded(uint64_t node) {
  lives_.erase(node);
  memories_.erase(node);
}

void Oracle::OnDiskReplaced(uint64_t node) {
  flushed_.erase(node);
  memories_.erase(node);
}

// Null for a copied node. Initially the contents of the disk.
Oracle::Memory* Oracle::MemoryOf(uint64_t node) {
  const SimDisk* disk = disk_of_(node, 0);
  if (disk == nullptr) return nullptr;
  auto [memory, is_new] = memories_.try_emplace(node);
  if (!is_new) return &memory->second;
  memory->second.hard_state = disk->hard_state();
  for (Index index(1); index <= disk->last(); ++index) memory->second.terms.push_back(disk->TermAt(index));
  return &memory->second;
}

void Oracle::OnTurn(const Subject& subject) {
  auto found = lives_.find(subject.id);
  if (found == lives_.end()) return;
  Life& life = found->second;
  const core::Core& core = *subject.core;
  if (core.term() < life.term)
    world_.Fail("terms never decrease",
                fmt::format("node {}: term {} after term {}", subject.id, core.term(), life.term));
  CheckRole(subject, life);
  if (core.commit_index() != life.commit) CheckCommit(subject, life);
  if (core.configuration_index() != life.members_index) {
    life.members = core.configuration();
    life.members_index = core.configuration_index();
  }
  CheckApplied(subject.id, life);
  if (core.applied_index() < life.applied || core.applied_index() > core.commit_index())
    world_.Fail("only committed entries are applied",
                fmt::format("node {}: applied {} after {}, commit index {}", subject.id, core.applied_index(),
                            life.applied, core.commit_index()));
  life.applied = core.applied_index();
  CheckBounds(subject);
  if (++life.turns % kTurnsPerFullCheck != 0) return;
  core.CheckInvariants();
  CheckPeerBounds(subject);
}

void Oracle::CheckRole(const Subject& subject, Life& life) {
  const core::Core& core = *subject.core;
  if (core.term() == life.term && core.role() == life.role && core.leader() == life.leader) return;
  if (core.role() != life.role || core.term() != life.term)
    world_.Log(fmt::format("node {}: term {} -> {}", subject.id, core.term(), RoleName(core.role())));
  const bool is_new_leader = core.is_leader() && (life.role != Role::kLeader || life.term != core.term());
  life.term = core.term();
  life.role = core.role();
  life.leader = core.leader();
  if (!is_new_leader) return;
  auto [leader, is_first] = leader_of_term_.try_emplace(core.term().value(), subject.id);
  if (!is_first && leader->second != subject.id)
    world_.Fail("at most one leader per term",
                fmt::format("nodes {} and {} lead term {}", leader->second, subject.id, core.term()));
  for (size_t i = 0; i < committed_.size(); ++i) {
    // A candidate that missed the next election may still win its own, without entries committed in later terms.
    if (committed_in_[i] > core.term() || core.TermAt(Index(i + 1)) == committed_[i].term) continue;
    world_.Fail(
        "a leader has all committed entries",
        fmt::format("node {} leads term {} and has term {} at index {}, where term {} is committed", subject.id,
                    core.term(), core.TermAt(Index(i + 1)), i + 1, committed_[i].term));
    return;
  }
}

void Oracle::CheckCommit(const Subject& subject, Life& life) {
  const core::Core& core = *subject.core;
  if (core.commit_index() < life.commit)
    world_.Fail("the commit index never decreases",
                fmt::format("node {}: commit index {} after {}", subject.id, core.commit_index(), life.commit));
  for (Index index = life.commit + 1; index <= core.commit_index(); ++index) {
    const Term term = core.TermAt(index);
    if (index.value() <= committed_.size()) {
      if (committed_[index.value() - 1].term != term)
        world_.Fail("committed entries never change",
                    fmt::format("node {} commits term {} at index {}, where term {} is committed", subject.id,
                                term, index, committed_[index.value() - 1].term));
      continue;
    }
    // A configuration that is appended in this turn may have been appended after this commit.
    const bool is_durable =
        IsDurableOnMajority(core.configuration(), index, term) ||
        (core.configuration_index() != life.members_index && IsDurableOnMajority(life.members, index, term));
    if (!is_durable)
      world_.Fail("committed entries are durable on a majority",
                  fmt::format("node {} commits index {} of term {}, which is not on the disks of a majority",
                              subject.id, index, term));
    auto content = contents_.find({index.value(), term.value()});
    committed_.push_back(Entry{term, content == contents_.end() ? 0 : content->second});
    committed_in_.push_back(core.term());
    // A node that ended in the same turn may have committed it, and its machine applied it.
    auto applied = applied_.find(index.value());
    if (applied != applied_.end() && !IsSame(committed_.back(), applied->second))
      world_.Fail("only committed entries are applied",
                  fmt::format("node {} commits term {} at index {}, where an entry of term {} has been applied",
                              subject.id, term, index, applied->second.term));
  }
  life.commit = core.commit_index();
  world_.trace().Mix(2, subject.id, life.commit.value(), core.term().value());
}

bool Oracle::IsSame(const Entry& a, const Entry& b) { return a.term == b.term && a.content == b.content; }

// Called after the turn, since a node commits and applies in the same turn.
void Oracle::CheckApplied(uint64_t node, Life& life) {
  for (Index index : life.pending) {
    const bool is_committed = index.value() <= committed_.size();
    if (is_committed && IsSame(committed_[index.value() - 1], applied_.at(index.value()))) continue;
    world_.Fail("only committed entries are applied",
                fmt::format("node {} applies index {}, where {} is committed", node, index,
                            is_committed ? "another entry" : "no entry"));
  }
  life.pending.clear();
}

bool Oracle::IsDurableOnMajority(const core::Configuration& members, Index index, Term term) const {
  return IsDurableOnMajority(members.voters, index, term) &&
         (!members.is_joint() || IsDurableOnMajority(members.old_voters, index, term));
}

bool Oracle::IsDurableOnMajority(const std::vector<core::Member>& voters, Index index, Term term) const {
  size_t have = 0;
  for (const core::Member& voter : voters) {
    const SimDisk* disk = disk_of_(voter.id.value(), voter.incarnation);
    if (disk != nullptr && disk->TermAt(index) == term) ++have;
  }
  return 2 * have > voters.size();
}

void Oracle::CheckBounds(const Subject& subject) {
  const Limits& limits = *subject.limits;
  auto check = [&](const char* queue, size_t size, size_t limit) {
    if (size > limit)
      world_.Fail("queues stay within their limits",
                  fmt::format("node {}: {} is {}, the limit is {}", subject.id, queue, size, limit));
  };
  check("bytes waiting to be appended", subject.waiting_bytes, limits.max_waiting_bytes);
  check("calls", subject.waiting_calls, limits.max_waiting_calls);
  check("bytes not applied", subject.core->unapplied_bytes(), limits.max_unapplied_bytes + limits.max_batch_bytes);
  // Entries that are not applied stay up to twice the limit, and those that are not durable as long as that takes.
  check("bytes of the log in memory", subject.core->cached_bytes(),
        2 * limits.cached_tail_bytes + subject.disk->waiting_bytes());
}

// An append of one batch is sent whatever its size if no other is in flight.
void Oracle::CheckPeerBounds(const Subject& subject) {
  if (!subject.core->is_leader()) return;
  const size_t limit = std::max({subject.limits->peer_window_bytes, subject.limits->max_batch_bytes, largest_batch_});
  for (const PeerStatus& peer : subject.core->PeerStatuses(TimePoint())) {
    if (peer.inflight_bytes > limit)
      world_.Fail("queues stay within their limits",
                  fmt::format("node {}: bytes in flight to node {} are {}, the limit is {}", subject.id,
                              peer.peer.id, peer.inflight_bytes, limit));
  }
}

// --- disks ---

void Oracle::Remember(uint64_t node, const BatchRef& batch) {
  largest_batch_ = std::max(largest_batch_, batch.size());
  for (const LogEntry& entry : batch) {
    auto [known, is_new] = contents_.try_emplace({entry.index.value(), entry.term.value()}, ContentOf(entry));
    if (!is_new && known->second != ContentOf(entry))
      world_.Fail("an index and term identify one entry",
                  fmt::format("node {} writes another entry at index {} of term {}", node, entry.index, entry.term));
  }
}

// Log matching (paper, §5.3): by induction, nodes that have the same entry have the same entries before it.
void Oracle::CheckPredecessor(uint64_t node, const BatchRef& batch, Term before) {
  for (Index index = batch.first(); index <= batch.last(); ++index) {
    auto [known, is_new] = before_.try_emplace({index.value(), batch.term().value()}, before);
    if (!is_new && known->second != before)
      world_.Fail(
          "an index and term identify one log prefix",
          fmt::format(
              "node {} has index {} of term {} after an entry of term {}; other nodes have it after one of term {}",
              node, index, batch.term(), before, known->second));
    before = batch.term();
  }
}

void Oracle::OnSubmitted(uint64_t node, const storage::WriteRequest& request) {
  Memory* memory = MemoryOf(node);
  if (memory != nullptr && request.hard_state) memory->hard_state = *request.hard_state;
  if (memory != nullptr && request.truncate_after && request.truncate_after->value() < memory->terms.size())
    memory->terms.resize(request.truncate_after->value());
  for (const BatchRef& batch : request.batches) {
    Remember(node, batch);
    if (memory == nullptr) continue;
    CheckPredecessor(node, batch, memory->terms.empty() ? Term(0) : memory->terms.back());
    memory->terms.insert(memory->terms.end(), batch.header().count, batch.term());
  }
  const SimDisk* disk = disk_of_(node, 0);
  if (!request.truncate_after || disk == nullptr) return;
  const uint64_t end = std::min<uint64_t>(committed_.size(), disk->last().value());
  for (uint64_t i = request.truncate_after->value() + 1; i <= end; ++i) {
    if (disk->TermAt(Index(i)) != committed_[i - 1].term) continue;
    world_.Fail("committed entries are never removed from a disk",
                fmt::format("node {} removes all entries after index {}; index {} is committed", node,
                            *request.truncate_after, i));
    return;
  }
}

void Oracle::OnFlushed(uint64_t node, const storage::WriteRequest& request) {
  if (!request.hard_state) return;
  HardState& before = flushed_[node];
  const HardState& now = *request.hard_state;
  if (now.term < before.term || (now.term == before.term && before.vote && now.vote != before.vote))
    world_.Fail("the stored term and vote never regress",
                fmt::format("node {} stores term {}, vote {} after term {}, vote {}", node, now.term,
                            now.vote, before.term, before.vote));
  before = now;
}

// --- messages ---

bool Oracle::IsDuplicate(uint64_t node, bool has_influence, const char* what) {
  if (node < kDuplicate) return false;
  if (has_influence)
    world_.Fail("a copied node has no influence", fmt::format("the copy of node {} {}", node - kDuplicate, what));
  return true;
}

void Oracle::OnVote(uint64_t node, Term term, NodeId candidate) {
  const uint64_t incarnation = disk_of_(node, 0)->identity().incarnation;
  auto [vote, is_first] = votes_.try_emplace({node, incarnation, term.value()}, candidate.value());
  if (!is_first && vote->second != candidate.value())
    world_.Fail("a node votes once per term", fmt::format("node {} votes for {} and for {} in term {}", node,
                                                        vote->second, candidate, term));
}

void Oracle::OnVoteRequest(uint64_t node, const RequestVoteArgs& args) {
  world_.trace().Mix(3, node, args.term.value(), args.last_index.value());
  if (args.pre_vote || IsDuplicate(node, true, "campaigns")) return;
  OnVote(node, args.term, NodeId(node));
  const SimDisk* disk = disk_of_(node, 0);
  const HardState stored = disk->hard_state();
  if (stored.term < args.term || (stored.term == args.term && stored.vote != NodeId(node)))
    world_.Fail("a candidate requests votes only after its own vote is durable",
                fmt::format("node {} requests votes in term {}; its disk has term {}, vote {}", node, args.term,
                            stored.term, stored.vote));
}

void Oracle::OnVoteReply(uint64_t node, const RequestVoteArgs& args, const RequestVoteResults& results) {
  world_.trace().Mix(4, node, args.term.value(), results.vote_granted ? 1 : 0);
  if (IsDuplicate(node, results.vote_granted, "votes")) return;
  const HardState stored = disk_of_(node, 0)->hard_state();
  if (stored.term < results.term && !args.pre_vote)
    world_.Fail("a reply is sent only after its term is durable",
                fmt::format("node {} replies with term {}; its disk has term {}", node, results.term,
                            stored.term));
  if (!results.vote_granted || args.pre_vote) return;
  OnVote(node, args.term, args.candidate_id);
  if (stored.term < args.term || (stored.term == args.term && stored.vote != args.candidate_id))
    world_.Fail("a vote is sent only after it is durable",
                fmt::format("node {} votes for {} in term {}; its disk has term {}, vote {}", node,
                            args.candidate_id, args.term, stored.term, stored.vote));
}

void Oracle::OnAppendRequest(uint64_t node, const AppendEntriesArgs& args) {
  world_.trace().Mix(5, node, args.prev_index.value(), args.entries.size());
  if (IsDuplicate(node, true, "leads")) return;
  Term before = args.prev_term;
  for (const BatchRef& batch : args.entries) {
    Remember(node, batch);
    CheckPredecessor(node, batch, before);
    before = batch.term();
  }
}

void Oracle::OnAppendReply(uint64_t node, const AppendEntriesArgs& args, const AppendEntriesResults& results) {
  world_.trace().Mix(6, node, results.durable_match.value(), results.success ? 1 : 0);
  if (IsDuplicate(node, results.success, "acknowledges")) return;
  const SimDisk* disk = disk_of_(node, 0);
  if (disk->hard_state().term < results.term)
    world_.Fail("a reply is sent only after its term is durable",
                fmt::format("node {} replies with term {}; its disk has term {}", node, results.term,
                            disk->hard_state().term));
  if (!results.success) return;
  Term claimed = results.durable_match == args.prev_index ? args.prev_term : Term(0);
  for (const BatchRef& batch : args.entries)
    if (results.durable_match >= batch.first() && results.durable_match <= batch.last()) claimed = batch.term();
  const Term stored = disk->TermAt(results.durable_match);
  const bool is_there = !results.durable_match || (claimed ? stored == claimed : stored != Term(0));
  if (!is_there)
    world_.Fail(
        "an append reply acknowledges only durable entries",
        fmt::format("node {} acknowledges index {}; its disk ends at index {} and has term {} at the acknowledged one",
                    node, results.durable_match, disk->last(), stored));
}

void Oracle::OnApply(uint64_t node, const LogEntry& entry) {
  world_.trace().Mix(7, node, entry.index.value(), entry.term.value());
  if (IsDuplicate(node, true, "applies")) return;
  auto found = lives_.find(node);
  if (found == lives_.end()) return;  // it has crashed, and is being destroyed
  Life& life = found->second;
  if (entry.index <= life.machine)
    world_.Fail("a state machine applies entries in order, each once",
                fmt::format("node {} applies index {} after {}", node, entry.index, life.machine));
  life.machine = entry.index;
  life.pending.push_back(entry.index);
  const Entry now{entry.term, ContentOf(entry)};
  auto [first, is_first] = applied_.try_emplace(entry.index.value(), now);
  const bool differs = first->second.term != now.term || first->second.content != now.content;
  if (!is_first && differs)
    world_.Fail(
        "all state machines apply the same entries",
        fmt::format("node {} applies an entry of term {} at index {}, where another entry, of term {}, was applied",
                    node, now.term, entry.index, first->second.term));
  auto written = contents_.find({entry.index.value(), entry.term.value()});
  if (written == contents_.end() || written->second != now.content)
    world_.Fail("all state machines apply the same entries",
                fmt::format("node {} applies an entry at index {} that no node wrote", node, entry.index));
}

}  // namespace ringraft::sim
