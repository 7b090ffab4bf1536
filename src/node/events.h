// Turns changes of the status into events, for the callback and for the streams. Owned by the node.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "node/call_slot.h"
#include "ringraft/event.h"
#include "ringraft/status.h"

namespace ringraft::node {

// The events that one stream has not taken yet. Shared by the stream, which takes, and the node, which puts. Any
// thread.
class EventQueue {
 public:
  static constexpr size_t kMost = 1024;  // beyond that the oldest is dropped, and counted

  using Waiter = std::pair<CallSlot*, uint32_t>;  // a call and its generation

  bool IsReady() const;  // there is an event, or the end has been reached
  bool HasWaiter() const;
  std::optional<Event> Take();  // none at the end
  // False if it is ready already. `former` becomes the waiter that this one replaces.
  bool Wait(Waiter waiter, std::optional<Waiter>& former);

  // The stream is gone.
  void Close();
  bool is_closed() const;

  // Both return the waiting call, which the caller completes outside all locks.
  std::optional<Waiter> Put(const Event& event);
  std::optional<Waiter> End();

 private:
  mutable std::mutex mutex_;  // of all below
  std::deque<Event> events_;
  uint64_t lost_ = 0;  // before the first of them
  std::optional<Waiter> waiter_;
  bool is_closed_ = false;
  bool has_ended_ = false;
};

class Events {
 public:
  explicit Events(std::function<void(const Event&)> callback) : callback_(std::move(callback)) {}

  std::shared_ptr<EventQueue> Open();  // any thread

  // Reactor, at the end of a turn. Runs users' code.
  void Follow(const RaftStatus& status);
  // Once, when the node has stopped: the last event.
  void End(const RaftStatus& status, const Error& reason);

 private:
  struct PeerFacts {
    Peer peer;
    bool is_reachable = true;
    bool needs_readmission = false;
  };

  static Event Make(EventKind kind, const RaftStatus& status);
  void FollowPeers(const RaftStatus& status, std::vector<Event>& events);
  void Report(const Event& event);

  const std::function<void(const Event&)> callback_;
  RaftStatus last_;  // what has been reported; without its peers
  bool is_committed_ = true;
  std::vector<PeerFacts> peers_;  // of a leader; ascending by id

  std::mutex mutex_;  // of what follows
  std::vector<std::shared_ptr<EventQueue>> queues_;
  bool has_ended_ = false;
};

}  // namespace ringraft::node
