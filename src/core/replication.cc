// Appends as the leader: §3.5, pipelined and in parallel with the leader's own write (§10.2.1).
#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "core/state.h"

namespace ringraft::core {

Progress* Core::State::FindPeer(NodeId peer) {
  Leadership* leading = leadership();
  if (leading == nullptr) return nullptr;
  auto found = leading->peers.find(peer);
  return found == leading->peers.end() ? nullptr : &found->second;
}

NextAppendResult Core::NextAppend(NodeId peer, TimePoint now) {
  State& s = *state_;
  s.See(now);
  Progress* progress = s.FindPeer(peer);
  if (progress == nullptr || !s.GetsLog(*progress)) return std::monostate{};
  const bool is_probing = progress->state == Progress::State::kProbe;
  const size_t calls = is_probing ? 1 : s.options.peer_window_calls;
  if (progress->in_flight.size() >= calls) return std::monostate{};

  if (progress->next > s.SendableTo(*progress)) {
    // There are no entries to send, but a probe finds out whether the logs match, and an idle peer gets the commit
    // index.
    const bool has_news =
        s.options.tell_commit_when_idle && s.commit_index > progress->commit_told && progress->in_flight.empty();
    if (is_probing || has_news) return s.SendEmpty(*progress, now);
    return std::monostate{};
  }
  if (!s.tail.Holds(progress->next) && !progress->HasRead(progress->next)) {
    if (is_probing) return s.SendEmpty(*progress, now);  // reading may wait until the logs are known to match
    if (progress->is_reading) return std::monostate{};
    progress->is_reading = true;
    return ReadRequest{progress->next, s.options.max_append_bytes};
  }
  std::vector<BatchRef> batches = s.CollectBatches(*progress);
  if (batches.empty()) return std::monostate{};  // the window has no room
  AppendRequest request = s.SendBatches(*progress, std::move(batches));
  request.ticket.sent = now;
  return request;
}

bool Core::State::NeedsReadmission(const Progress& progress) const {
  return progress.incarnation != 0 && !configuration().IsOf(progress.peer.id, progress.incarnation);
}

bool Core::NeedsReadmission(NodeId peer) const {
  const Progress* progress = state_->FindPeer(peer);
  return progress != nullptr && state_->NeedsReadmission(*progress);
}

// A peer on another data directory than the member's receives nothing until it is readmitted (hazard C17 in
// tests/CATALOGUE.md: a member's directory was emptied). Heartbeats find out which directory it has.
bool Core::State::GetsLog(const Progress& progress) const {
  return !NeedsReadmission(progress) || CatchesUp(progress.peer.id);
}

// A witness never campaigns, and refuses its vote to candidates that have less of the log. So it is only sent what is
// on the disk of a member that may lead: otherwise, after a crash of the leader before its own flush, no server could
// win.
Index Core::State::SendableTo(const Progress& progress) const {
  if (!progress.is_witness) return last_index();
  Index on_disk = persistence.durable_index();
  for (const auto& [id, peer] : leadership()->peers) {
    if (configuration().MayLead(id) && configuration().IsOf(id, peer.incarnation))
      on_disk = std::max(on_disk, peer.match);
  }
  return on_disk;
}

// Returns false if this reply is from another data directory than those before: it then acknowledges nothing.
bool Core::State::Recognize(Progress& progress, const AppendEntriesResults& results) {
  progress.is_witness_directory = results.is_witness;
  progress.priority = results.priority;
  progress.is_disk_stalled = results.is_disk_stalled;
  if (progress.incarnation == results.incarnation) return true;
  if (progress.incarnation == 0) {
    progress.incarnation = results.incarnation;
    return true;
  }
  progress.Reset(results.incarnation, last_index() + 1);
  return false;
}

// Consecutive batches from the one that holds `next`, within the limits of an append and of the window. The first one
// is sent whatever its size if nothing else is in flight.
std::vector<BatchRef> Core::State::CollectBatches(Progress& progress) const {
  const bool is_cached = tail.Holds(progress.next);
  if (is_cached) progress.read.clear();
  auto read = std::partition_point(progress.read.begin(), progress.read.end(),
                                   [&](const BatchRef& batch) { return batch.last() < progress.next; });
  size_t position = is_cached ? tail.PositionOf(progress.next) : static_cast<size_t>(read - progress.read.begin());
  const size_t end = is_cached ? tail.size() : progress.read.size();

  const bool is_probing = progress.state == Progress::State::kProbe;
  const Index sendable = SendableTo(progress);
  size_t room = std::numeric_limits<size_t>::max();
  if (!progress.in_flight.empty()) {
    room = options.peer_window_bytes - std::min(options.peer_window_bytes, progress.in_flight_bytes);
  }
  size_t bytes = 0;
  std::vector<BatchRef> batches;
  for (; position < end; ++position) {
    BatchRef batch = is_cached ? tail[position] : progress.read[position];
    if (batch.last() > sendable) break;
    if (bytes + batch.size() > room) break;
    if (!batches.empty() && (is_probing || bytes + batch.size() > options.max_append_bytes)) break;
    if (batch.first() < progress.next) {
      // `next` is inside the batch: send it as a whole, or what follows the match, if the peer's log splits batches and
      // has a part of it.
      progress.next = std::max(batch.first(), progress.match + 1);
      if (batch.first() < progress.next) batch = batch.Slice(progress.next, batch.last());
    }
    if (progress.is_witness) batch = batch.WithoutCommands();
    bytes += batch.size();
    batches.push_back(std::move(batch));
  }
  return batches;
}

AppendRequest Core::State::MakeAppend(const Progress& progress, Index prev_index) const {
  AppendRequest request;
  request.peer = progress.peer;
  request.ticket.peer = progress.peer.id;
  request.ticket.term = term;
  request.ticket.prev_index = prev_index;
  request.ticket.last_index = prev_index;
  request.ticket.known_match = progress.match;
  request.args.group = options.group;
  request.args.to = progress.peer.id;
  request.args.term = term;
  request.args.leader_id = options.self;
  request.args.prev_index = prev_index;
  request.args.prev_term = history.TermAt(prev_index);
  request.args.leader_commit = commit_index;
  return request;
}

void Core::State::Send(Progress& progress, PeerTicket& ticket) {
  ticket.sequence = ++leadership()->last_sequence;
  progress.Send(ticket.sequence, ticket.bytes);
}

AppendRequest Core::State::SendBatches(Progress& progress, std::vector<BatchRef> batches) {
  AppendRequest request = MakeAppend(progress, progress.next - 1);
  RINGRAFT_ASSERT(batches.front().first() == progress.next);  // B20: an append is never malformed
  for (const BatchRef& batch : batches) request.ticket.bytes += batch.size();
  request.ticket.last_index = batches.back().last();
  Send(progress, request.ticket);
  request.args.entries = std::move(batches);
  if (progress.state == Progress::State::kReplicate) progress.next = request.ticket.last_index + 1;  // optimistic
  progress.commit_told = std::min(commit_index, request.ticket.last_index);
  return request;
}

AppendRequest Core::State::SendEmpty(Progress& progress, TimePoint sent) {
  AppendRequest request = MakeAppend(progress, progress.next - 1);
  Send(progress, request.ticket);
  request.ticket.sent = sent;
  progress.commit_told = std::min(commit_index, request.ticket.last_index);
  return request;
}

void Core::OnRead(NodeId peer, std::vector<BatchRef> batches) {
  State& s = *state_;
  Progress* progress = s.FindPeer(peer);
  if (progress == nullptr) return;
  progress->is_reading = false;
  // The read may have begun in an earlier leadership: only batches that are in the log now are taken.
  size_t good = 0;
  for (; good < batches.size(); ++good) {
    const BatchRef& batch = batches[good];
    const bool is_ours = s.history.Match(batch.last(), batch.term()) && s.history.TermAt(batch.first()) == batch.term();
    if (!is_ours || (good > 0 && batch.first() != batches[good - 1].last() + 1)) break;
  }
  batches.resize(good);
  progress->read = std::move(batches);
}

// Returns false if the reply does not belong to the present leadership.
bool Core::State::HandleReplyTerm(const PeerTicket& ticket, Term reply_term) {
  if (reply_term.value() > kMaxNumber) return false;
  if (reply_term > term) {  // paper, Figure 2, rules for all servers
    BecomeFollower(reply_term, NodeId(0));
    return false;
  }
  // B6: what a reply of an earlier term acknowledges may have been overwritten since. No correct reply has a lower term
  // than its request.
  return leadership() != nullptr && ticket.term == term && reply_term == term;
}

void Core::OnAppendReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results) {
  State& s = *state_;
  s.See(now);
  if (!s.HandleReplyTerm(ticket, results.term)) {
    OnAppendFailed(ticket);  // frees its part of the window
    return;
  }
  Progress* progress = s.FindPeer(ticket.peer);
  if (progress == nullptr) return;
  progress->contact = std::max(progress->contact, now);
  if (!s.Recognize(*progress, results)) return;
  if (!progress->Receive(ticket.sequence)) return;  // B5
  if (results.success) {
    s.OnAppendSucceeded(*progress, ticket, results.durable_match);
  } else {
    s.OnAppendRefused(*progress, ticket, results.conflict);
  }
}

void Core::State::OnAppendSucceeded(Progress& progress, const PeerTicket& ticket, Index durable_match) {
  if (durable_match > ticket.last_index) {  // no correct peer can match what it was not sent: ignore all of it
    progress.ProbeFrom(progress.match + 1);
    return;
  }
  progress.match = std::max(progress.match, durable_match);
  progress.next = std::max(progress.next, ticket.last_index + 1);
  progress.state = Progress::State::kReplicate;
  FollowCatchUp();  // first, since a configuration that it appends is in effect at once
  MaybeCommit();
}

// §3.5: the logs diverge before `prev_index`. Both sides skip whole terms: the peer has sent its last position that
// could match, and the leader continues from its own last position that could match that.
void Core::State::OnAppendRefused(Progress& progress, const PeerTicket& ticket, const ConflictHint& hint) {
  if (ticket.last_index <= progress.match) return;  // overtaken by a success
  if (ticket.prev_index <= ticket.known_match) ++progress.lost_matches;
  Index from = progress.match + 1;
  if (ticket.prev_index > progress.match) {
    const LogPosition common = history.LastNotAfter(std::min(hint.index, ticket.prev_index - 1), hint.term);
    from = std::max(from, common.index + 1);  // never back to what is known to match
  }
  progress.ProbeFrom(from);
}

void Core::OnAppendFailed(const PeerTicket& ticket) {
  State& s = *state_;
  if (ticket.term != s.term) return;
  Progress* progress = s.FindPeer(ticket.peer);
  // If several calls fail together, the first one starts the probe, and the others are no longer in flight.
  if (progress == nullptr || !progress->Receive(ticket.sequence)) return;
  progress->ProbeAgain();
}

void Core::OnCallsDropped(NodeId peer) {
  Progress* progress = state_->FindPeer(peer);
  if (progress == nullptr) return;
  progress->ProbeAgain();
  progress->is_reading = false;
  progress->read.clear();
}

// With prev at the match index, so that it agrees with all appends in flight (B7), and without a commit index beyond
// what the peer is known to have (B2).
std::optional<AppendRequest> Core::NextHeartbeat(NodeId peer, TimePoint now) {
  State& s = *state_;
  s.See(now);
  Progress* progress = s.FindPeer(peer);
  if (progress == nullptr) return std::nullopt;
  AppendRequest request = s.MakeAppend(*progress, progress->match);
  request.args.leader_commit = std::min(s.commit_index, progress->match);
  const std::optional<Transfer>& transfer = s.leadership()->transfer;
  request.args.timeout_now = transfer && transfer->to == peer && transfer->timeout_now_at == s.last_index();
  request.ticket.is_timeout_now = request.args.timeout_now;
  request.ticket.sent = now;
  return request;
}

// The reply to a heartbeat shows only that the peer is reachable. Its match is not new: it was durable there when the
// heartbeat was sent.
void Core::OnHeartbeatReply(TimePoint now, const PeerTicket& ticket, const AppendEntriesResults& results) {
  State& s = *state_;
  s.See(now);
  if (!s.HandleReplyTerm(ticket, results.term)) return;
  Progress* progress = s.FindPeer(ticket.peer);
  if (progress == nullptr) return;
  progress->contact = std::max(progress->contact, now);
  if (!s.Recognize(*progress, results)) return;
  if (!results.success) {
    ++progress->lost_matches;
  } else if (ticket.is_timeout_now && s.IsToLeave()) {
    // Its successor campaigns. This server is no longer a member and would not learn of the new leader.
    s.BecomeFollower(s.term, NodeId(0));
  }
}

uint64_t Core::LostMatches(NodeId peer) const {
  const Progress* progress = state_->FindPeer(peer);
  return progress == nullptr ? 0 : progress->lost_matches;
}

}  // namespace ringraft::core
