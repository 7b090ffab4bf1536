// ringraft-kv: a replicated key-value server that speaks the Redis protocol. Puts the parts together, starts them in
// order, and stops them in the opposite one on SIGTERM and SIGINT.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "coro/scope.h"
#include "coro/signal.h"
#include "kv/options.h"
#include "kv/server.h"
#include "kv/store.h"
#include "reactor/connect.h"
#include "reactor/ring_host.h"
#include "ringraft/raft.h"

namespace ringraft::kv {
namespace {

constexpr Duration kDrain = std::chrono::seconds(2);  // for replies in flight when the process ends
constexpr Duration kPortWait = std::chrono::seconds(1);
constexpr Duration kPortRetry = std::chrono::milliseconds(20);
constexpr Duration kNamePatience = std::chrono::seconds(5);  // after which a look-up that hangs is logged

// The life of the process, from listening to the end. Reactor thread only.
class Service {
 public:
  Service(Reactor& reactor, Raft& raft, const KeyValueStore& store, const KvOptions& options)
      : reactor_(reactor),
        raft_(raft),
        options_(options),
        loop_(reactor.host().loop()),
        host_(static_cast<reactor::RingHost&>(reactor.host())),
        changed_(loop_),
        server_(loop_, host_.poller(), raft, store, options),
        scope_(loop_) {}

  Task<void> Run() {
    LogStart();
    scope_.Start(Begin());
    while (!is_stop_requested_ && !has_raft_ended_ && error_ == Errc::kOk) {
      auto woken = changed_.Wait();
      co_await woken;
    }
    if (!has_begun_) {
      scope_.Cancel();
      if (error_ == Errc::kOk) Log(LogLevel::kInfo, fmt::format("node {} has stopped", options_.raft.id.value()));
      reactor_.Stop();
      co_return;
    }
    // A node that stopped by itself has nothing to answer with.
    auto stop = server_.Stop(has_raft_ended_ ? Duration(0) : kDrain);
    co_await stop;
    raft_.Stop();
    while (!has_raft_ended_) {
      auto woken = changed_.Wait();
      co_await woken;
    }
    Log(LogLevel::kInfo, fmt::format("node {} has stopped", options_.raft.id.value()));
    reactor_.Stop();
  }

  void OnSignal() {
    if (is_stop_requested_) return raft_.Stop();  // asked twice: no more patience with clients
    Log(LogLevel::kInfo, fmt::format("node {} is stopping", options_.raft.id.value()));
    is_stop_requested_ = true;
    changed_.Notify();
  }

  // kOk after a clean stop.
  const Error& error() const { return error_; }

 private:
  void LogStart() {
    std::vector<std::string> members;
    for (const Peer& peer : options_.raft.initial_members) {
      members.push_back(fmt::format("{}={}", peer.id.value(), peer.addr.text()));
    }
    const char* const alone = options_.raft.bootstrap_as_leader ? "this node, at the first start"
                              : options_.joins                  ? "added by a leader, at the first start"
                                                                : "those of its log";
    Log(LogLevel::kInfo,
        fmt::format("ringraft-kv {}: node {}, peers at {}, clients at {}, data in {}, cluster {}, members: {}",
                    RINGRAFT_VERSION, options_.raft.id.value(), options_.raft.addr.text(), options_.listen.text(),
                    options_.raft.data_dir,
                    options_.raft.cluster_name.empty() ? "(unnamed)" : options_.raft.cluster_name,
                    members.empty() ? alone : fmt::format("{}", fmt::join(members, " "))));
  }

  Task<void> Begin() {
    auto clients = AwaitPort(options_.listen);
    auto for_clients = co_await clients;
    auto peers = AwaitPort(options_.raft.addr);
    auto for_peers = co_await peers;
    Result<void> begun = Success();
    if (!for_clients) {
      begun = for_clients.error();
    } else if (!for_peers) {
      begun = for_peers.error();
    } else {
      begun = Listen(for_clients.value());
    }
    if (begun) co_return;
    error_ = begun.error();
    changed_.Notify();
  }

  // Returns the addresses once they are known and free. The DNS server may be silent, and a killed process may be gone
  // while the kernel still takes down its ring, which holds its sockets: so the port of a node that is restarted at
  // once can be in use for a moment more.
  Task<Result<reactor::SocketAddresses>> AwaitPort(Addr addr) {
    using Outcome = Result<reactor::SocketAddresses>;
    auto resolving = ResolveOwn(addr);
    auto addresses = co_await resolving;
    if (!addresses) co_return Outcome(addresses.error());
    const TimePoint end = loop_.Now() + kPortWait;
    while (true) {
      auto probe = reactor::ListenOnAll(host_.poller(), addr, addresses.value());
      if (probe) co_return Outcome(std::move(addresses).value());
      if (loop_.Now() >= end) co_return Outcome(probe.error());
      auto sleep = loop_.SleepUntil(loop_.Now() + kPortRetry);
      co_await sleep;
    }
  }

  Task<Result<reactor::SocketAddresses>> ResolveOwn(Addr addr) {
    using Outcome = Result<reactor::SocketAddresses>;
    auto where = reactor::SplitAddr(addr);
    if (!where) co_return Outcome(where.error());
    while (true) {
      auto resolve = host_.resolver().Resolve(where.value(), loop_.Now() + kNamePatience);
      auto found = co_await resolve;
      if (found) co_return Outcome(std::move(found).value());
      const std::string why = fmt::format("cannot listen on {}: {}", addr.text(), found.error().message());
      if (found.error() != Errc::kTimedOut) co_return Outcome(Error(Errc::kIo, why));
      Log(LogLevel::kWarning, why);
    }
  }

  Result<void> Listen(const reactor::SocketAddresses& for_clients) {
    if (auto ok = server_.Listen(options_.listen, for_clients); !ok) return ok;
    if (auto ok = raft_.Run(reactor_); !ok) return ok;
    has_begun_ = true;
    scope_.Start(WatchRaft());
    server_.Start();
    Log(LogLevel::kInfo, fmt::format("node {} is ready", options_.raft.id.value()));
    return Success();
  }

  Task<void> WatchRaft() {
    auto done = raft_.Done();
    const auto outcome = co_await done;
    if (!outcome) error_ = outcome.error();
    has_raft_ended_ = true;
    changed_.Notify();
  }

  void Log(LogLevel level, std::string_view text) { options_.raft.logger->Write(level, text); }

  Reactor& reactor_;
  Raft& raft_;
  const KvOptions& options_;
  coro::Loop& loop_;
  reactor::RingHost& host_;
  coro::Signal changed_;
  Server server_;
  bool is_stop_requested_ = false;
  bool has_begun_ = false;
  bool has_raft_ended_ = false;
  Error error_;
  coro::Scope scope_;
};

// Takes SIGTERM and SIGINT off the process, on a thread of its own. Made before any other thread, so that all inherit
// the mask.
class SignalThread {
 public:
  SignalThread() {
    sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals_, signal);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }
  ~SignalThread() {
    if (!thread_.joinable()) return;
    is_ending_ = true;
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

  void Start(Reactor& reactor, Service& service) {
    thread_ = std::thread([this, &reactor, &service] {
      pthread_setname_np(pthread_self(), "ringraft-signal");
      while (!is_ending_) {
        int signal = 0;
        if (sigwait(&signals_, &signal) != 0 || signal == SIGUSR1) continue;
        reactor.Post([&service] { service.OnSignal(); });
      }
    });
  }

 private:
  sigset_t signals_;
  std::atomic<bool> is_ending_{false};
  std::thread thread_;
};

int Fail(const Error& error) {
  fmt::print(stderr, "ringraft-kv: {}\n", error.message());
  return kExitRuntime;
}

// With an empty log the command line has to say how this node comes to a cluster: a data directory that was mistyped or
// lost must not look like a node that waits for its leader.
bool SaysHowToBegin(const KvOptions& options) {
  return options.joins || options.raft.bootstrap_as_leader || !options.raft.initial_members.empty();
}

int FailWithoutLog(const KvOptions& options) {
  fmt::print(stderr,
             "ringraft-kv: the data directory {} has no log, so the command line must say how node {} gets into a "
             "cluster: --join to wait for RAFT ADD, --bootstrap to start a new one, or the --peer list of a fixed one; "
             "or name the directory that has its log\n",
             options.raft.data_dir, options.raft.id.value());
  return kExitUsage;
}

// Then nothing is made in it. What cannot be looked at is left to Raft::Create, which says why.
bool IsMissingOrEmpty(const std::string& directory) {
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) return !error;
  return std::filesystem::is_empty(directory, error) && !error;
}

int Main(int argc, const char* const* argv) {
  KvOptions options;
  if (const auto exit_code = ParseCommandLine(argc, argv, options)) return *exit_code;
  const bool needs_log = !SaysHowToBegin(options);
  if (needs_log && IsMissingOrEmpty(options.raft.data_dir)) return FailWithoutLog(options);
  SignalThread signals;
  ReactorOptions reactor_options;
  reactor_options.logger = options.raft.logger;
  auto reactor = Reactor::Create(reactor_options);
  if (!reactor) return Fail(reactor.error());
  KeyValueStore store;
  auto raft = Raft::Create(options.raft, store);
  if (!raft) return Fail(raft.error());
  if (needs_log && !raft.value()->Status().last_index) return FailWithoutLog(options);
  Service service(*reactor.value(), *raft.value(), store, options);
  signals.Start(*reactor.value(), service);
  reactor.value()->Spawn(service.Run());
  reactor.value()->Run();
  return service.error() == Errc::kOk ? 0 : Fail(service.error());
}

}  // namespace
}  // namespace ringraft::kv

int main(int argc, char** argv) { return ringraft::kv::Main(argc, argv); }
