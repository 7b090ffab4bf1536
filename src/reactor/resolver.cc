#include "reactor/resolver.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ringraft::reactor {
namespace {

Result<SocketAddresses> WithPort(Result<SocketAddresses> found, const std::string& port) {
  if (!found) return found;
  const uint16_t number = htons(static_cast<uint16_t>(std::stoul(port)));
  for (SocketAddress& address : found.value()) {
    if (address.family() == AF_INET6) {
      reinterpret_cast<sockaddr_in6&>(address.storage).sin6_port = number;
    } else {
      reinterpret_cast<sockaddr_in&>(address.storage).sin_port = number;
    }
  }
  return found;
}

}  // namespace

// What the threads and the reactor share.
struct Resolver::Shared final : std::enable_shared_from_this<Shared> {
  struct Name {
    enum class State { kIdle, kQueued, kRunning };
    State state = State::kIdle;
    uint64_t ended = 0;  // look-ups
    SocketAddresses good;
    Error failure;  // of the last look-up; kOk if it succeeded
    size_t waiting = 0;
    uint64_t last_used = 0;
  };
  struct Delivery final : MailboxNode {
    ~Delivery() override = default;
    void OnDelivered() override;
    Shared* shared = nullptr;
  };

  Shared(Resolver& owner, Mailbox& to, Lookup function) : resolver(&owner), mailbox(&to), lookup(std::move(function)) {
    delivery.shared = this;
  }

  // These are called with the mutex locked.
  Name& Use(const std::string& host);
  void Begin(const std::string& host, Name& name);
  void EndLookup(Name& name, Result<SocketAddresses> answer);
  void Work();
  static Result<SocketAddresses> Answer(const std::string& host, const Name& name, bool has_ended);

  std::mutex mutex;
  std::condition_variable answered;  // for threads that wait
  Resolver* resolver;
  Mailbox* mailbox;  // null once the resolver is destroyed
  Lookup lookup;
  std::map<std::string, Name> names;
  std::deque<std::string> queue;
  size_t threads = 0;
  uint64_t uses = 0;
  bool is_posted = false;
  Delivery delivery;
};

void Resolver::Shared::Delivery::OnDelivered() {
  {
    std::lock_guard lock(shared->mutex);
    shared->is_posted = false;
  }
  shared->resolver->OnAnswer();
}

// Forgets the name that has not been used for the longest time, if there are too many.
Resolver::Shared::Name& Resolver::Shared::Use(const std::string& host) {
  if (names.size() >= kMaxNames && !names.contains(host)) {
    auto oldest = names.end();
    for (auto entry = names.begin(); entry != names.end(); ++entry) {
      if (entry->second.state != Name::State::kIdle || entry->second.waiting > 0) continue;
      if (oldest == names.end() || entry->second.last_used < oldest->second.last_used) oldest = entry;
    }
    if (oldest != names.end()) names.erase(oldest);
  }
  Name& name = names[host];
  name.last_used = ++uses;
  return name;
}

void Resolver::Shared::Begin(const std::string& host, Name& name) {
  if (name.state != Name::State::kIdle) return;
  name.state = Name::State::kQueued;
  queue.push_back(host);
  if (threads == kMaxThreads) return;
  try {
    std::thread([self = shared_from_this()] { self->Work(); }).detach();
    ++threads;
  } catch (const std::system_error& error) {
    if (threads > 0) return;  // those that run take it
    queue.pop_back();
    EndLookup(name, Error(Errc::kUnreachable, fmt::format("cannot resolve '{}': no thread for it: {}; raise the limit "
                                                          "on threads (ulimit -u)",
                                                          host, error.what())));
  }
}

void Resolver::Shared::EndLookup(Name& name, Result<SocketAddresses> answer) {
  name.state = Name::State::kIdle;
  ++name.ended;
  if (answer) {
    name.good = std::move(answer).value();
    name.failure = Error();
  } else {
    name.failure = answer.error();
  }
}

void Resolver::Shared::Work() {
  std::unique_lock lock(mutex);
  while (!queue.empty() && mailbox != nullptr) {
    const std::string host = std::move(queue.front());
    queue.pop_front();
    names[host].state = Name::State::kRunning;
    const Lookup function = lookup;
    lock.unlock();
    Result<SocketAddresses> answer = function(HostPort{host, "0"});
    lock.lock();
    EndLookup(names[host], std::move(answer));
    answered.notify_all();
    if (mailbox == nullptr || is_posted) continue;
    is_posted = true;
    mailbox->Post(delivery);
  }
  --threads;
}

Result<SocketAddresses> Resolver::Shared::Answer(const std::string& host, const Name& name, bool has_ended) {
  if (!name.good.empty()) return name.good;
  if (has_ended) return name.failure;
  return Error(Errc::kTimedOut,
               fmt::format("the name '{}' was not resolved in time; check the DNS servers, or use a numeric address",
                           host));
}

// One that waits for a name; its look-up begins with it, unless one is in flight.
class Resolver::Place {
 public:
  Place(std::shared_ptr<Shared> shared, std::string host) : shared_(std::move(shared)), host_(std::move(host)) {
    std::lock_guard lock(shared_->mutex);
    Shared::Name& name = shared_->Use(host_);
    ended_before_ = name.ended;
    ++name.waiting;
    shared_->Begin(host_, name);
  }
  ~Place() {
    std::lock_guard lock(shared_->mutex);
    Shared::Name& name = Name();
    if (--name.waiting > 0 || name.state != Shared::Name::State::kQueued) return;
    std::erase(shared_->queue, host_);
    name.state = Shared::Name::State::kIdle;
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  bool HasEnded() {
    std::lock_guard lock(shared_->mutex);
    return Name().ended != ended_before_;
  }
  bool HasEarlierAnswer() {
    std::lock_guard lock(shared_->mutex);
    return !Name().good.empty();
  }
  Result<SocketAddresses> Answer() {
    std::lock_guard lock(shared_->mutex);
    return Shared::Answer(host_, Name(), Name().ended != ended_before_);
  }
  // Blocks. Any thread but the reactor's may wait for long.
  void WaitFor(Duration bound) {
    std::unique_lock lock(shared_->mutex);
    shared_->answered.wait_for(lock, bound, [this] { return Name().ended != ended_before_; });
  }

 private:
  // It stays while it has a waiter.
  Shared::Name& Name() { return shared_->names.at(host_); }

  std::shared_ptr<Shared> shared_;
  std::string host_;
  uint64_t ended_before_ = 0;
};

Resolver::Resolver(coro::Loop& loop, Mailbox& mailbox, Lookup lookup)
    : loop_(loop), answered_(loop), shared_(std::make_shared<Shared>(*this, mailbox, std::move(lookup))) {}

Resolver::~Resolver() {
  std::lock_guard lock(shared_->mutex);
  shared_->mailbox = nullptr;
  shared_->queue.clear();
}

void Resolver::SetLookup(Lookup lookup) {
  std::lock_guard lock(shared_->mutex);
  shared_->lookup = std::move(lookup);
}

Task<Result<SocketAddresses>> Resolver::Resolve(HostPort where, TimePoint deadline) {
  SocketAddresses numeric = ResolveNumeric(where);
  if (!numeric.empty()) co_return numeric;
  Place place(shared_, where.host);
  TimePoint patience = deadline;
  if (place.HasEarlierAnswer()) patience = std::min(deadline, loop_.Now() + kGrace);
  while (!place.HasEnded()) {
    auto answer = answered_.WaitUntil(patience);
    const bool is_notified = co_await answer;
    if (!is_notified) break;
  }
  co_return WithPort(place.Answer(), where.port);
}

Result<SocketAddresses> Resolver::ResolveWithin(const HostPort& where, Duration bound) {
  SocketAddresses numeric = ResolveNumeric(where);
  if (!numeric.empty()) return numeric;
  Place place(shared_, where.host);
  place.WaitFor(place.HasEarlierAnswer() ? std::min(bound, kGrace) : bound);
  return WithPort(place.Answer(), where.port);
}

}  // namespace ringraft::reactor
