#include "control.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <sstream>
#include <utility>

#include "counters.h"
#include "drive.h"
#include "load.h"
#include "member.h"
#include "report.h"

namespace ringraft::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Reports the course of a load to the connection that asked for it.
class RemoteObserver final : public DriveObserver {
 public:
  RemoteObserver(LineSocket& socket, const NodeCounters& counters) : socket_(socket), counters_(counters) {}

  Result<void> Check() override {
    if (socket_.IsClosed()) return Error(Errc::kStopped, "the connection that asked for the load is gone");
    return Success();
  }
  void OnSecond(const Progress& progress) override {
    socket_.Send(fmt::format("second second={} warmup={:d} ops_per_s={} p50_us={} p99_us={}", progress.second,
                             progress.is_warmup, progress.ops_per_s, progress.p50_us, progress.p99_us));
  }
  void OnWindowStart() override {
    start_ = Clock::now();
    socket_.Send("window-start " + ToFields(UsageOf(0, counters_)));
  }
  void OnWindowEnd() override {
    const double took = std::chrono::duration<double>(Clock::now() - start_).count();
    socket_.Send(fmt::format("window-end seconds={} {}", took, ToFields(UsageOf(0, counters_))));
  }

 private:
  LineSocket& socket_;
  const NodeCounters& counters_;
  TimePoint start_;
};

class ControlServer {
 public:
  ControlServer(Member& member, const NodeCounters& counters, const NodeOptions& options, Signals& signals)
      : member_(member), counters_(counters), options_(options), signals_(signals) {}

  // One connection, one request.
  void Serve(int fd) {
    LineSocket socket(fd);
    Result<Message> request = socket.Receive(seconds(5), signals_);
    if (!request) {
      socket.Send("failed " + request.error().message());
    } else if (request.value().word == "stats") {
      socket.Send(fmt::format("stats id={} leads={:d} nodes={} store={} {}", options_.id, member_.raft().IsLeader(),
                              options_.peers.size(), ToString(options_.store), ToFields(UsageOf(0, counters_))));
    } else if (request.value().word == "run") {
      Run(socket, LoadFrom(request.value()));
    } else {
      socket.Send("failed unknown request; use stats or run");
    }
  }

 private:
  void Run(LineSocket& socket, const LoadSpec& spec) {
    Result<void> valid = spec.Validate();
    if (!valid) {
      socket.Send("failed " + valid.error().message());
      return;
    }
    if (!member_.IsReady()) {
      socket.Send("failed this node does not lead, or not every other node has caught up");
      return;
    }
    load_ = std::make_unique<Load>(member_.raft(), member_.reactor(), spec);
    RemoteObserver observer(socket, counters_);
    Result<LoadStats> stats = Drive(*load_, member_.raft(), spec, signals_, observer);
    if (!stats) {
      socket.Send("failed " + stats.error().message());
      load_->End(seconds(30));
      return;
    }
    Report report;
    TakeStats(report, stats.value());
    std::istringstream lines(report.error_lines);
    for (std::string line; std::getline(lines, line);) socket.Send("error-line " + line);
    socket.Send(fmt::format("result commands={} ops_per_s={} p50_us={} p99_us={} p999_us={} max_us={} errors={}",
                            report.commands, report.ops_per_s, report.p50_us, report.p99_us, report.p999_us,
                            report.max_us, report.errors));
  }

  Member& member_;
  const NodeCounters& counters_;
  const NodeOptions& options_;
  Signals& signals_;
  std::unique_ptr<Load> load_;  // the last one: its clients may still wait for an answer when it has failed
};

Result<std::unique_ptr<SharedCounters>> CountersFor(const NodeOptions& options) {
  return options.counters_fd >= 0 ? SharedCounters::Open(options.counters_fd) : SharedCounters::Create();
}

// A node of `local` must not outlive it, however that ends. The wish was expressed before exec; it holds across it.
bool HasLostParent(const NodeOptions& options) { return options.parent_pid != 0 && getppid() != options.parent_pid; }

Result<void> ServeUntilStopped(const NodeOptions& options, Signals& signals) {
  MemberOptions self;
  self.id = NodeId(options.id);
  self.data_dir = options.data_dir;
  self.store = options.store;
  self.lead = options.lead;
  self.limits = options.largest.LimitsForIt();
  for (const std::string& text : options.peers) {
    Result<Peer> peer = ParsePeer(text);
    if (!peer) return peer.error();
    self.peers.push_back(std::move(peer).assume_value());
  }
  if (options.counters_fd >= 0 && options.id > kMaxNodes) return Error(Errc::kInvalidArgument, "--id is too large");
  Result<std::unique_ptr<SharedCounters>> shared = CountersFor(options);
  if (!shared) return shared.error();
  NodeCounters& counters = shared.value()->ForNode(NodeId(options.counters_fd >= 0 ? options.id : 1));
  Result<std::unique_ptr<Member>> member = Member::Start(self, counters);
  if (!member) return member.error();
  int listener = -1;
  if (!options.control.empty()) {
    Result<int> listening = ListenOn(Addr(options.control));
    if (!listening) return listening.error();
    listener = listening.value();
  }
  ControlServer server(*member.value(), counters, options, signals);
  RaftStatus status;
  while (!signals.is_asked_to_stop() && !status.is_stopped && !HasLostParent(options)) {
    if (signals.Wait(milliseconds(500), listener)) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) server.Serve(fd);
    }
    status = member.value()->raft().Status();
  }
  if (listener >= 0) close(listener);
  if (status.is_stopped && status.stop_reason.code() != Errc::kOk) return Error(status.stop_reason);
  return Success();
}

}  // namespace

int RunNode(const NodeOptions& options, Signals& signals) {
  Result<void> served = ServeUntilStopped(options, signals);
  if (served) return 0;
  fmt::print(stderr, "ringraft-bench: {}\n", served.error().message());
  return 1;
}

std::string ToFields(const Usage& usage) {
  const std::string written = usage.written_bytes ? fmt::format(" written_bytes={}", *usage.written_bytes) : "";
  return fmt::format("cpu_ns={} flushes={} commits={} batches={} batch_bytes={} commit_ns={}{}", usage.cpu_ns,
                     usage.flushes, usage.commits, usage.batches, usage.batch_bytes, usage.commit_ns, written);
}

Usage UsageFrom(const Message& message) {
  Usage usage;
  usage.cpu_ns = message.Count("cpu_ns");
  usage.flushes = message.Count("flushes");
  usage.commits = message.Count("commits");
  usage.batches = message.Count("batches");
  usage.batch_bytes = message.Count("batch_bytes");
  usage.commit_ns = message.Count("commit_ns");
  usage.written_bytes.reset();
  if (!message.Text("written_bytes").empty()) usage.written_bytes = message.Count("written_bytes");
  return usage;
}

std::string ToFields(const LoadSpec& load) {
  return fmt::format("payload={} outstanding={} batch={} threads={} seconds={} warmup={}", load.payload,
                     load.outstanding, load.batch, load.threads, load.seconds, load.warmup);
}

LoadSpec LoadFrom(const Message& message) {
  LoadSpec load;
  load.payload = message.Count("payload");
  load.outstanding = message.Count("outstanding");
  load.batch = message.Count("batch");
  load.threads = static_cast<unsigned>(message.Count("threads"));
  load.seconds = message.Number("seconds");
  load.warmup = message.Number("warmup");
  return load;
}

}  // namespace ringraft::bench
