// Resolves names on threads of its own, so that a DNS server that is slow or silent delays nothing but what needs the
// name. Owned by a host.
//
// The system's resolver blocks, for 5 s with a dead first nameserver and for minutes with silent ones, and cannot be
// cancelled. Hence:
//   * a name has one look-up in flight, which all that wait for it share, and which outlives those that give up;
//   * the last good answer is used while the next look-up takes long, and when it fails;
//   * the end of the host does not wait for a look-up: its thread ends when the system lets it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coro/loop.h"
#include "coro/signal.h"
#include "reactor/host.h"
#include "reactor/resolve.h"
#include "ringraft/task.h"

namespace ringraft::reactor {

class Resolver {
 public:
  // Any thread; may block. Gets the port 0: the answer is used for all ports.
  using Lookup = std::function<Result<SocketAddresses>(const HostPort& where)>;

  static constexpr size_t kMaxThreads = 16;  // look-ups at a time; the others wait in a queue
  static constexpr size_t kMaxNames = 256;   // remembered
  // A look-up that takes longer is not waited for if there is an earlier answer. Otherwise the new answer is better: a
  // node that was moved is found at once.
  static constexpr Duration kGrace = std::chrono::milliseconds(100);

  Resolver(coro::Loop& loop, Mailbox& mailbox, Lookup lookup = ResolveBlocking);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Numeric addresses at once. Errors: kUnreachable; kTimedOut at the deadline, if there is no earlier answer.
  // Cancelling: a look-up without a waiter leaves the queue; one that has begun continues.
  Task<Result<SocketAddresses>> Resolve(HostPort where, TimePoint deadline);
  // Any thread: the same, and blocks for at most `bound`.
  Result<SocketAddresses> ResolveWithin(const HostPort& where, Duration bound);

  // For tests, which have names that hang: replaces the system's resolver for look-ups that have not begun.
  void SetLookup(Lookup lookup);

 private:
  struct Shared;
  class Place;
  void OnAnswer() { answered_.Notify(); }

  coro::Loop& loop_;
  coro::Signal answered_;           // a look-up has ended
  std::shared_ptr<Shared> shared_;  // with the threads
};

}  // namespace ringraft::reactor
