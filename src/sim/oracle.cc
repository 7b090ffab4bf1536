#include "sim/oracle.h"

#include <fmt/format.h>

#include <algorithm>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

std::vector<std::string_view> Oracle::Rules() {
  return {"at most one leader a term",
          "one index and term, one entry",
          "one index and term, one log before it",
          "a leader has everything that is committed",
          "committed entries never change",
          "machines apply the same entries",
          "machines apply in order, each entry once",
          "only what is committed is applied",
          "a durable machine is given only what is durable",
          "a success was applied",
          "terms never fall",
          "the commit index never falls",
          "committed is durable on a majority",
          "one vote a node and term",
          "a vote leaves when it is durable",
          "a request for votes follows the own durable vote",
          "a reply names only what is durable",
          "a reply leaves when its term is durable",
          "the stored term and vote never go back",
          "committed entries are never removed from a disk",
          "a restarted node knows what its disk has",
          "queues keep to their limits",
          "the core's own invariants",
          "a damaged batch is found by its checksum",
          "writes follow each other",
          "what failed for certain was never applied",
          "every call ends in time",
          "a run comes to an end",
          "a node starts on what it wrote",
          "a copy has no say",
          "a copy is refused",
          "the cluster works again once all faults are over",
          "all nodes end in the same state",
          "the history is linearizable"};
}

// --- lives ---

// Its first turn is over: what it has decided in it has been handed to the disk, and counts.
void Oracle::OnStarted(const Subject& subject) {
  Life& life = lives_[subject.id];
  life = Life();
  const core::Core& core = *subject.core;
  const Memory& disk = *MemoryOf(subject.id);
  bool same = core.last_index().value() == disk.terms.size() && core.term() == disk.hard_state.term &&
              core.vote() == disk.hard_state.vote;
  for (size_t i = 0; same && i < disk.terms.size(); ++i) same = core.TermAt(Index(i + 1)) == disk.terms[i];
  if (!same)
    world_.Fail("a restarted node knows what its disk has",
                fmt::format("node {} starts with last index {} in term {}, vote {}; its disk has last index {}, term "
                            "{}, vote {}",
                            subject.id, core.last_index().value(), core.term().value(), core.vote().value(),
                            disk.terms.size(), disk.hard_state.term.value(), disk.hard_state.vote.value()));
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

// Null for a copy. Until it hands something over it has what is on its disk.
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
    world_.Fail("terms never fall",
                fmt::format("node {}: {} after {}", subject.id, core.term().value(), life.term.value()));
  CheckRole(subject, life);
  if (core.commit_index() != life.commit) CheckCommit(subject, life);
  if (core.configuration_index() != life.members_index) {
    life.members = core.configuration();
    life.members_index = core.configuration_index();
  }
  CheckGiven(subject.id, life);
  if (core.applied_index() < life.applied || core.applied_index() > core.commit_index())
    world_.Fail("only what is committed is applied",
                fmt::format("node {}: applied {} after {}, commit index {}", subject.id, core.applied_index().value(),
                            life.applied.value(), core.commit_index().value()));
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
    world_.Tell(fmt::format("node {}: term {} -> {}", subject.id, core.term().value(), RoleName(core.role())));
  const bool is_new_leader = core.is_leader() && (life.role != Role::kLeader || life.term != core.term());
  life.term = core.term();
  life.role = core.role();
  life.leader = core.leader();
  if (!is_new_leader) return;
  auto [leader, is_first] = leader_of_term_.try_emplace(core.term().value(), subject.id);
  if (!is_first && leader->second != subject.id)
    world_.Fail("at most one leader a term",
                fmt::format("nodes {} and {} lead term {}", leader->second, subject.id, core.term().value()));
  for (size_t i = 0; i < committed_.size(); ++i) {
    // Who slept through the next election may still win its own, and knows nothing of what came after.
    if (committed_in_[i] > core.term() || core.TermAt(Index(i + 1)) == committed_[i].term) continue;
    world_.Fail(
        "a leader has everything that is committed",
        fmt::format("node {} leads term {} with term {} at index {}, which is committed with term {}", subject.id,
                    core.term().value(), core.TermAt(Index(i + 1)).value(), i + 1, committed_[i].term.value()));
    return;
  }
}

void Oracle::CheckCommit(const Subject& subject, Life& life) {
  const core::Core& core = *subject.core;
  if (core.commit_index() < life.commit)
    world_.Fail("the commit index never falls",
                fmt::format("node {}: {} after {}", subject.id, core.commit_index().value(), life.commit.value()));
  for (Index index = life.commit + 1; index <= core.commit_index(); ++index) {
    const Term term = core.TermAt(index);
    if (index.value() <= committed_.size()) {
      if (committed_[index.value() - 1].term != term)
        world_.Fail("committed entries never change",
                    fmt::format("node {} commits term {} at index {}, where term {} is committed", subject.id,
                                term.value(), index.value(), committed_[index.value() - 1].term.value()));
      continue;
    }
    // In the turn in which a configuration comes into the log, it may do so after this commit.
    const bool is_durable =
        IsDurableOnMajority(core.configuration(), index, term) ||
        (core.configuration_index() != life.members_index && IsDurableOnMajority(life.members, index, term));
    if (!is_durable)
      world_.Fail("committed is durable on a majority",
                  fmt::format("node {} commits index {} of term {}, which too few disks have", subject.id,
                              index.value(), term.value()));
    auto content = contents_.find({index.value(), term.value()});
    committed_.push_back(Entry{term, content == contents_.end() ? 0 : content->second});
    committed_in_.push_back(core.term());
    // A machine may have it from a node that has ended in the same turn.
    auto applied = applied_.find(index.value());
    if (applied != applied_.end() && !IsApplied(committed_.back(), applied->second))
      world_.Fail("only what is committed is applied",
                  fmt::format("node {} commits term {} at index {}, where an entry of term {} has been applied",
                              subject.id, term.value(), index.value(), applied->second.term.value()));
  }
  life.commit = core.commit_index();
  world_.trace().Mix(2, subject.id, life.commit.value(), core.term().value());
}

bool Oracle::IsApplied(const Entry& committed, const Entry& applied) const {
  return committed.term == applied.term && committed.content == applied.content;
}

// After the turn: a node commits and applies in one.
void Oracle::CheckGiven(uint64_t node, Life& life) {
  for (Index index : life.given) {
    const bool is_committed = index.value() <= committed_.size();
    if (is_committed && IsApplied(committed_[index.value() - 1], applied_.at(index.value()))) continue;
    world_.Fail("only what is committed is applied",
                fmt::format("node {} applies index {}, where {} is committed", node, index.value(),
                            is_committed ? "another entry" : "nothing"));
  }
  life.given.clear();
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
      world_.Fail("queues keep to their limits",
                  fmt::format("node {}: {} is {}, the limit is {}", subject.id, queue, size, limit));
  };
  check("bytes that wait to be appended", subject.waiting_bytes, limits.max_waiting_bytes);
  check("calls", subject.waiting_calls, limits.max_waiting_calls);
  check("bytes not applied", subject.core->unapplied_bytes(), limits.max_unapplied_bytes + limits.max_batch_bytes);
  // What is not applied stays for twice as long, and what is not durable for as long as that takes.
  check("bytes of the log in memory", subject.core->cached_bytes(),
        2 * limits.cached_tail_bytes + subject.disk->waiting_bytes());
}

// An append of one batch is sent whatever its size, if it is the only one on its way.
void Oracle::CheckPeerBounds(const Subject& subject) {
  if (!subject.core->is_leader()) return;
  const size_t limit = std::max({subject.limits->peer_window_bytes, subject.limits->max_batch_bytes, largest_batch_});
  for (const PeerStatus& peer : subject.core->PeerStatuses(TimePoint())) {
    if (peer.inflight_bytes > limit)
      world_.Fail("queues keep to their limits",
                  fmt::format("node {}: bytes in flight to node {} are {}, the limit is {}", subject.id,
                              peer.peer.id.value(), peer.inflight_bytes, limit));
  }
}

// --- disks ---

void Oracle::Remember(uint64_t node, const BatchRef& batch) {
  largest_batch_ = std::max(largest_batch_, batch.size());
  for (const LogEntry& entry : batch) {
    auto [known, is_new] = contents_.try_emplace({entry.index.value(), entry.term.value()}, ContentOf(entry));
    if (!is_new && known->second != ContentOf(entry))
      world_.Fail("one index and term, one entry", fmt::format("node {} writes another entry at index {} of term {}",
                                                               node, entry.index.value(), entry.term.value()));
  }
}

// Log matching (paper, §5.3): by induction, whoever has the same entry has the same entries before it.
void Oracle::CheckPredecessor(uint64_t node, const BatchRef& batch, Term before) {
  for (Index index = batch.first(); index <= batch.last(); ++index) {
    auto [known, is_new] = before_.try_emplace({index.value(), batch.term().value()}, before);
    if (!is_new && known->second != before)
      world_.Fail(
          "one index and term, one log before it",
          fmt::format("node {} has index {} of term {} behind an entry of term {}; others behind one of term {}", node,
                      index.value(), batch.term().value(), before.value(), known->second.value()));
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
                fmt::format("node {} removes everything behind index {}; index {} is committed", node,
                            request.truncate_after->value(), i));
    return;
  }
}

void Oracle::OnFlushed(uint64_t node, const storage::WriteRequest& request) {
  if (!request.hard_state) return;
  HardState& before = flushed_[node];
  const HardState& now = *request.hard_state;
  if (now.term < before.term || (now.term == before.term && before.vote && now.vote != before.vote))
    world_.Fail("the stored term and vote never go back",
                fmt::format("node {} stores term {}, vote {} after term {}, vote {}", node, now.term.value(),
                            now.vote.value(), before.term.value(), before.vote.value()));
  before = now;
}

// --- messages ---

bool Oracle::IsDuplicate(uint64_t node, bool has_say, const char* what) {
  if (node < kDuplicate) return false;
  if (has_say)
    world_.Fail("a copy has no say", fmt::format("the copy of node {} beside its original {}", node - kDuplicate, what));
  return true;
}

void Oracle::OnVote(uint64_t node, Term term, NodeId candidate) {
  const uint64_t incarnation = disk_of_(node, 0)->identity().incarnation;
  auto [vote, is_first] = votes_.try_emplace({node, incarnation, term.value()}, candidate.value());
  if (!is_first && vote->second != candidate.value())
    world_.Fail("one vote a node and term", fmt::format("node {} votes for {} and for {} in term {}", node,
                                                        vote->second, candidate.value(), term.value()));
}

void Oracle::OnVoteRequest(uint64_t node, const RequestVoteArgs& args) {
  world_.trace().Mix(3, node, args.term.value(), args.last_index.value());
  if (args.pre_vote || IsDuplicate(node, true, "stands for election")) return;
  OnVote(node, args.term, NodeId(node));
  const SimDisk* disk = disk_of_(node, 0);
  const HardState stored = disk->hard_state();
  if (stored.term < args.term || (stored.term == args.term && stored.vote != NodeId(node)))
    world_.Fail("a request for votes follows the own durable vote",
                fmt::format("node {} asks for votes in term {}; its disk has term {}, vote {}", node, args.term.value(),
                            stored.term.value(), stored.vote.value()));
}

void Oracle::OnVoteReply(uint64_t node, const RequestVoteArgs& args, const RequestVoteResults& results) {
  world_.trace().Mix(4, node, args.term.value(), results.vote_granted ? 1 : 0);
  if (IsDuplicate(node, results.vote_granted, "votes")) return;
  const HardState stored = disk_of_(node, 0)->hard_state();
  if (stored.term < results.term && !args.pre_vote)
    world_.Fail("a reply leaves when its term is durable",
                fmt::format("node {} answers with term {}; its disk has term {}", node, results.term.value(),
                            stored.term.value()));
  if (!results.vote_granted || args.pre_vote) return;
  OnVote(node, args.term, args.candidate_id);
  if (stored.term < args.term || (stored.term == args.term && stored.vote != args.candidate_id))
    world_.Fail("a vote leaves when it is durable",
                fmt::format("node {} votes for {} in term {}; its disk has term {}, vote {}", node,
                            args.candidate_id.value(), args.term.value(), stored.term.value(), stored.vote.value()));
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
    world_.Fail("a reply leaves when its term is durable",
                fmt::format("node {} answers with term {}; its disk has term {}", node, results.term.value(),
                            disk->hard_state().term.value()));
  if (!results.success) return;
  Term claimed = results.durable_match == args.prev_index ? args.prev_term : Term(0);
  for (const BatchRef& batch : args.entries)
    if (results.durable_match >= batch.first() && results.durable_match <= batch.last()) claimed = batch.term();
  const Term stored = disk->TermAt(results.durable_match);
  const bool is_there = !results.durable_match || (claimed ? stored == claimed : stored != Term(0));
  if (!is_there)
    world_.Fail("a reply names only what is durable",
                fmt::format("node {} says that it has index {}; its disk ends at {} (term {} there)", node,
                            results.durable_match.value(), disk->last().value(), stored.value()));
}

void Oracle::OnApply(uint64_t node, const LogEntry& entry) {
  world_.trace().Mix(7, node, entry.index.value(), entry.term.value());
  if (IsDuplicate(node, true, "applies")) return;
  auto found = lives_.find(node);
  if (found == lives_.end()) return;  // it is dead, and on its way out
  Life& life = found->second;
  if (entry.index <= life.machine)
    world_.Fail("machines apply in order, each entry once",
                fmt::format("node {} applies index {} after {}", node, entry.index.value(), life.machine.value()));
  life.machine = entry.index;
  life.given.push_back(entry.index);
  const Entry now{entry.term, ContentOf(entry)};
  auto [first, is_first] = applied_.try_emplace(entry.index.value(), now);
  const bool differs = first->second.term != now.term || first->second.content != now.content;
  if (!is_first && differs)
    world_.Fail("machines apply the same entries",
                fmt::format("node {} applies another entry at index {} (term {}) than was applied before (term {})",
                            node, entry.index.value(), now.term.value(), first->second.term.value()));
  auto written = contents_.find({entry.index.value(), entry.term.value()});
  if (written == contents_.end() || written->second != now.content)
    world_.Fail("machines apply the same entries",
                fmt::format("node {} applies what nobody wrote, at index {}", node, entry.index.value()));
}

}  // namespace ringraft::sim
