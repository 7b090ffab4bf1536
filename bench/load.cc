#include "load.h"

#include <coroutine>
#include <cstring>
#include <exception>
#include <future>
#include <numeric>
#include <utility>

#include "ringraft/reactor.h"

namespace ringraft::bench {
namespace {

// A coroutine that its owner starts, and destroys after its end.
class Client {
 public:
  struct promise_type {
    Client get_return_object() { return Client(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };

  explicit Client(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Client(Client&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Client& operator=(Client&&) = delete;
  ~Client() {
    if (handle_) handle_.destroy();
  }
  void Start() { handle_.resume(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

// A thread with a queue: of callers to resume, and of functions.
class ClientThread final : public Executor {
 public:
  ClientThread() : thread_([this] { Work(); }) {}
  ~ClientThread() override {
    {
      std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void Post(Resumption resumption) noexcept override {
    bool was_empty;
    {
      std::lock_guard lock(mutex_);
      was_empty = resumptions_.empty();
      resumptions_.push_back(std::move(resumption));
    }
    if (was_empty) wake_.notify_one();
  }

  void PostFunction(std::function<void()> function) {
    {
      std::lock_guard lock(mutex_);
      functions_.push_back(std::move(function));
    }
    wake_.notify_one();
  }

 private:
  void Work() {
    std::vector<Resumption> resumptions;
    std::vector<std::function<void()>> functions;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return is_stopping_ || !resumptions_.empty() || !functions_.empty(); });
        if (is_stopping_) return;
        resumptions.swap(resumptions_);
        functions.swap(functions_);
      }
      for (auto& function : functions) function();
      for (Resumption& resumption : resumptions) resumption();
      functions.clear();
      resumptions.clear();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Resumption> resumptions_;
  std::vector<std::function<void()>> functions_;
  bool is_stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace

// Everything but the constructor and `Post` is used on the shard's own thread.
class Shard {
 public:
  Shard(Load& load, Raft& raft, Reactor& reactor, const LoadSpec& spec, bool has_thread)
      : load_(load), raft_(raft), reactor_(reactor), batch_(spec.batch), payload_(spec.payload, 'x') {
    commands_.assign(batch_, Command(payload_));
    if (!has_thread) return;
    thread_ = std::make_unique<ClientThread>();
    options_.On(*thread_);
  }
  ~Shard() { thread_.reset(); }  // the clients after it, so that nothing resumes them

  void Post(std::function<void()> function) {
    if (thread_ != nullptr) {
      thread_->PostFunction(std::move(function));
    } else {
      reactor_.Post(std::move(function));
    }
  }

  void StartClients(size_t count) {
    started_ = Clock::now();
    clients_.reserve(count);
    for (size_t i = 0; i < count; ++i) clients_.push_back(batch_ == 1 ? CallOne(*this) : CallMany(*this));
    for (Client& client : clients_) client.Start();
  }

  void Restart() {
    stats_.latency.Clear();
    stats_.commands = 0;
    started_ = Clock::now();
  }

  LoadStats Read() const {
    LoadStats copy = stats_;
    const double seconds = std::chrono::duration<double>(Clock::now() - started_).count();
    copy.ops_per_s = seconds > 0 ? static_cast<double>(copy.commands) / seconds : 0;
    return copy;
  }

  void StopClients() { is_stopping_ = true; }

 private:
  static Client CallOne(Shard& shard) {
    TimePoint sent = Clock::now();
    uint64_t last = 0;
    while (!shard.is_stopping_) {
      auto call = shard.raft_.Handle(shard.commands_[0], shard.options_);
      const Result<Bytes> result = co_await call;
      const TimePoint now = Clock::now();
      if (!result) {
        shard.OnError(result.error());
        break;
      }
      if (!shard.GoesUp(result.assume_value(), last)) break;
      shard.OnAnswer(now - sent);
      sent = now;
    }
    shard.OnClientEnd();
  }

  static Client CallMany(Shard& shard) {
    TimePoint sent = Clock::now();
    uint64_t last = 0;
    while (!shard.is_stopping_) {
      const std::span<const Command> commands(shard.commands_);
      auto call = shard.raft_.Handle(commands, shard.options_);
      const Result<std::vector<Bytes>> results = co_await call;
      const TimePoint now = Clock::now();
      if (!results) {
        shard.OnError(results.error());
        break;
      }
      bool is_right = results.assume_value().size() == shard.batch_;
      for (const Bytes& result : results.assume_value()) is_right = is_right && shard.GoesUp(result, last);
      if (!is_right) break;
      shard.OnAnswer(now - sent);
      sent = now;
    }
    shard.OnClientEnd();
  }

  void OnAnswer(Duration latency) {
    stats_.latency.Add(static_cast<uint64_t>(latency.count()));
    stats_.commands += batch_;
  }

  // The state machine's result is the number of the command: a client's must go up.
  bool GoesUp(const Bytes& result, uint64_t& last) {
    uint64_t number = 0;
    if (result.size() == sizeof number) std::memcpy(&number, result.data(), sizeof number);
    if (number > last) [[likely]] {
      last = number;
      return true;
    }
    OnError(Error(Errc::kCorrupt, "the result of a command is not the state machine's; this is a bug of the library"));
    return false;
  }

  void OnError(const Error& error) {
    const size_t kind = static_cast<size_t>(error.code()) % LoadStats::kErrorKinds;
    if (stats_.errors[kind]++ == 0) stats_.first_messages[kind] = error.message();
  }

  void OnClientEnd() { load_.active_.fetch_sub(1, std::memory_order_release); }

  Load& load_;
  Raft& raft_;
  Reactor& reactor_;
  const size_t batch_;
  const std::string payload_;
  std::vector<Command> commands_;  // all the same
  HandleOptions options_;
  LoadStats stats_;
  TimePoint started_;
  bool is_stopping_ = false;
  std::vector<Client> clients_;
  std::unique_ptr<ClientThread> thread_;  // null: the reactor's
};

namespace {

// Runs `read` on the shard's thread and waits for what it returns. The state is shared, since the caller may give up.
template <class T>
Result<T> Ask(Shard& shard, std::function<T()> read) {
  auto promise = std::make_shared<std::promise<T>>();
  std::future<T> answer = promise->get_future();
  shard.Post([promise, read = std::move(read)] { promise->set_value(read()); });
  constexpr auto kMaxWait = std::chrono::seconds(30);
  if (answer.wait_for(kMaxWait) != std::future_status::ready) {
    return Error(Errc::kTimedOut, "the reactor has not ended its turn for 30 s");
  }
  return answer.get();
}

}  // namespace

uint64_t LoadStats::ErrorCount() const { return std::accumulate(errors.begin(), errors.end(), uint64_t{0}); }

Load::Load(Raft& raft, Reactor& reactor, const LoadSpec& spec) : active_(spec.outstanding) {
  const size_t count = spec.threads == 0 ? 1 : std::min<size_t>(spec.threads, spec.outstanding);
  for (size_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<Shard>(*this, raft, reactor, spec, spec.threads != 0));
  }
}

Load::~Load() = default;

void Load::Start() {
  const size_t clients = active_.load();
  for (size_t i = 0; i < shards_.size(); ++i) {
    const size_t share = clients / shards_.size() + (i < clients % shards_.size() ? 1 : 0);
    Shard* shard = shards_[i].get();
    shard->Post([shard, share] { shard->StartClients(share); });
  }
}

Result<void> Load::Restart() {
  for (auto& owned : shards_) {
    Shard* shard = owned.get();
    const Result<bool> done = Ask<bool>(*shard, [shard] { return shard->Restart(), true; });
    if (!done) return done.error();
  }
  return Success();
}

Result<LoadStats> Load::Read() {
  LoadStats sum;
  for (auto& owned : shards_) {
    Shard* shard = owned.get();
    const Result<LoadStats> part = Ask<LoadStats>(*shard, [shard] { return shard->Read(); });
    if (!part) return part.error();
    sum.latency.Merge(part.value().latency);
    sum.commands += part.value().commands;
    sum.ops_per_s += part.value().ops_per_s;
    for (size_t kind = 0; kind < LoadStats::kErrorKinds; ++kind) {
      if (sum.errors[kind] == 0) sum.first_messages[kind] = part.value().first_messages[kind];
      sum.errors[kind] += part.value().errors[kind];
    }
  }
  return sum;
}

bool Load::End(Duration max_wait) {
  for (auto& shard : shards_) shard->Post([shard = shard.get()] { shard->StopClients(); });
  const TimePoint deadline = Clock::now() + max_wait;
  while (!HasEnded() && Clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return HasEnded();
}

}  // namespace ringraft::bench
