#include "node/events.h"

#include <algorithm>

#include "base/assert.h"

namespace ringraft::node {

// --- one stream's queue ---

bool EventQueue::IsReady() const {
  std::lock_guard lock(mutex_);
  return has_ended_ || !events_.empty();
}

bool EventQueue::HasWaiter() const {
  std::lock_guard lock(mutex_);
  return waiter_.has_value();
}

std::optional<Event> EventQueue::Take() {
  std::lock_guard lock(mutex_);
  if (events_.empty()) return std::nullopt;
  Event event = std::move(events_.front());
  events_.pop_front();
  event.lost = std::exchange(lost_, 0);
  return event;
}

bool EventQueue::Wait(Waiter waiter, std::optional<Waiter>& former) {
  std::lock_guard lock(mutex_);
  if (has_ended_ || !events_.empty()) return false;
  former = std::exchange(waiter_, waiter);
  return true;
}

void EventQueue::Close() {
  std::lock_guard lock(mutex_);
  is_closed_ = true;
}

bool EventQueue::is_closed() const {
  std::lock_guard lock(mutex_);
  return is_closed_;
}

std::optional<EventQueue::Waiter> EventQueue::Put(const Event& event) {
  std::lock_guard lock(mutex_);
  if (events_.size() == kMost) {
    events_.pop_front();
    ++lost_;
  }
  events_.push_back(event);
  return std::exchange(waiter_, std::nullopt);
}

std::optional<EventQueue::Waiter> EventQueue::End() {
  std::lock_guard lock(mutex_);
  has_ended_ = true;
  return std::exchange(waiter_, std::nullopt);
}

// --- all of them ---

std::shared_ptr<EventQueue> Events::Open() {
  auto queue = std::make_shared<EventQueue>();
  std::lock_guard lock(mutex_);
  // A closed one still has to end its waiter: see Report.
  std::erase_if(queues_, [](const auto& one) { return one->is_closed() && !one->HasWaiter(); });
  if (has_ended_) {
    queue->End();
  } else {
    queues_.push_back(queue);
  }
  return queue;
}

Event Events::Make(EventKind kind, const RaftStatus& status) {
  Event event;
  event.kind = kind;
  event.id = status.id;
  event.role = status.role;
  event.term = status.term;
  event.leader = status.leader;
  return event;
}

void Events::Follow(const RaftStatus& status) {
  std::vector<Event> events;
  if (status.role != last_.role) events.push_back(Make(EventKind::kRole, status));
  if (status.leader != last_.leader || (status.leader && status.term != last_.term))
    events.push_back(Make(EventKind::kLeader, status));
  const bool is_committed = status.configuration_index <= status.commit_index;
  if (status.configuration_index != last_.configuration_index || (is_committed && !is_committed_)) {
    Event& event = events.emplace_back(Make(EventKind::kMembers, status));
    event.configuration_index = status.configuration_index;
    event.is_joint = status.is_joint;
    event.is_committed = is_committed;
  }
  FollowPeers(status, events);
  if (status.is_disk_stalled != last_.is_disk_stalled) {
    Event& event = events.emplace_back(Make(EventKind::kDisk, status));
    event.is_disk_stalled = status.is_disk_stalled;
  }
  if (events.empty()) return;
  last_.role = status.role;
  last_.term = status.term;
  last_.leader = status.leader;
  last_.configuration_index = status.configuration_index;
  last_.is_disk_stalled = status.is_disk_stalled;
  is_committed_ = is_committed;
  for (const Event& event : events) Report(event);
}

// A new leader takes every peer for reachable until it learns otherwise.
void Events::FollowPeers(const RaftStatus& status, std::vector<Event>& events) {
  if (status.role != Role::kLeader) return peers_.clear();
  const auto is_known = [&] {
    return std::equal(peers_.begin(), peers_.end(), status.peers.begin(), status.peers.end(),
                      [](const PeerFacts& known, const PeerStatus& now) { return known.peer == now.peer; });
  };
  if (!is_known()) {
    std::vector<PeerFacts> known = std::move(peers_);
    peers_.clear();
    for (const PeerStatus& now : status.peers) {
      const auto same =
          std::find_if(known.begin(), known.end(), [&](const PeerFacts& one) { return one.peer == now.peer; });
      peers_.push_back(same != known.end() ? *same : PeerFacts{now.peer});
    }
  }
  for (size_t i = 0; i < peers_.size(); ++i) {
    PeerFacts& known = peers_[i];
    const PeerStatus& now = status.peers[i];
    if (known.is_reachable == now.is_reachable && known.needs_readmission == now.needs_readmission) continue;
    known.is_reachable = now.is_reachable;
    known.needs_readmission = now.needs_readmission;
    Event& event = events.emplace_back(Make(EventKind::kPeer, status));
    event.peer = now.peer;
    event.is_reachable = now.is_reachable;
    event.needs_readmission = now.needs_readmission;
  }
}

void Events::Report(const Event& event) {
  if (callback_) callback_(event);
  std::vector<EventQueue::Waiter> waiters;
  {
    std::lock_guard lock(mutex_);
    for (const auto& queue : queues_) {
      if (auto waiter = queue->Put(event)) waiters.push_back(*waiter);
    }
    std::erase_if(queues_, [](const auto& queue) { return queue->is_closed(); });
  }
  for (auto& [slot, generation] : waiters) slot->Complete(generation);
}

void Events::End(const RaftStatus& status, const Error& reason) {
  Event event = Make(EventKind::kStopped, status);
  event.reason = reason;
  Report(event);
  std::vector<EventQueue::Waiter> waiters;
  {
    std::lock_guard lock(mutex_);
    has_ended_ = true;
    for (const auto& queue : queues_) {
      if (auto waiter = queue->End()) waiters.push_back(*waiter);
    }
    queues_.clear();
  }
  for (auto& [slot, generation] : waiters) slot->Complete(generation);
}

}  // namespace ringraft::node
