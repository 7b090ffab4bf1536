#include "local.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "cluster.h"
#include "counters.h"
#include "drive.h"
#include "load.h"
#include "member.h"
#include "report.h"
#include "usage.h"

namespace ringraft::bench {
namespace {

constexpr Duration kMaxStart = std::chrono::seconds(30);

Result<void> RefuseMemoryFileSystem(const LocalOptions& options, const std::string& directory) {
  if (options.store == StoreKind::kMemory || options.allow_tmpfs || !IsMemoryFileSystem(directory)) return Success();
  return Error(Errc::kInvalidArgument,
               fmt::format("--data {} is on {}, where a flush costs nothing, so the numbers would mean little; name a "
                           "directory on a disk, or add --allow-tmpfs",
                           options.parent_dir, FileSystemOf(directory)));
}

// Watches the processes, and reads what they have used at both ends of the window.
class LocalObserver final : public DriveObserver {
 public:
  LocalObserver(Cluster& cluster, SharedCounters& counters) : cluster_(cluster), counters_(counters) {}

  Result<void> Check() override { return cluster_.Check(); }
  void OnSecond(const Progress& progress) override { line_.Show(progress); }
  void OnWindowStart() override {
    start_ = Clock::now();
    all_ = Sum();
    leader_ = Leader();
  }
  void OnWindowEnd() override {
    all_ = Sum() - all_;
    leader_ = Leader() - leader_;
    seconds_ = std::chrono::duration<double>(Clock::now() - start_).count();
  }

  ProgressLine& line() { return line_; }
  void AddTo(Report& report) const {
    report.seconds = seconds_;
    report.all = all_;
    report.leader = leader_;
  }

 private:
  Usage Leader() { return UsageOf(0, counters_.ForNode(NodeId(1))); }
  Usage Sum() {
    Usage sum;
    for (const Peer& peer : cluster_.peers()) sum += UsageOf(cluster_.PidOf(peer.id), counters_.ForNode(peer.id));
    return sum;
  }

  Cluster& cluster_;
  SharedCounters& counters_;
  ProgressLine line_;
  TimePoint start_;
  Usage all_;
  Usage leader_;
  double seconds_ = 0;
};

Result<void> WaitUntilReady(Member& member, Signals& signals, LocalObserver& observer) {
  for (const TimePoint deadline = Clock::now() + kMaxStart; !member.IsReady();) {
    signals.Wait(std::chrono::milliseconds(10));
    if (signals.is_asked_to_stop()) return Error(Errc::kStopped, "interrupted");
    Result<void> checked = observer.Check();
    if (!checked) return checked;
    const RaftStatus status = member.raft().Status();
    if (status.is_stopped) return Error(status.stop_reason);
    if (Clock::now() < deadline) continue;
    return Error(Errc::kTimedOut, fmt::format("node 1 does not lead all others after {} s: it is a {} of term {}",
                                              std::chrono::duration_cast<std::chrono::seconds>(kMaxStart).count(),
                                              ToString(status.role), status.term.value()));
  }
  return Success();
}

Result<Report> Measure(const LocalOptions& options, Signals& signals) {
  Result<std::unique_ptr<ScratchDirectory>> scratch = ScratchDirectory::Make(options.parent_dir, options.keep);
  if (!scratch) return scratch.error();
  const std::string& directory = scratch.value()->path();
  Result<void> refused = RefuseMemoryFileSystem(options, directory);
  if (!refused) return refused.error();
  Result<std::unique_ptr<SharedCounters>> counters = SharedCounters::Create();
  if (!counters) return counters.error();
  Result<std::unique_ptr<Cluster>> cluster = Cluster::Start(options, directory, *counters.value());
  if (!cluster) return cluster.error();
  LocalObserver observer(*cluster.value(), *counters.value());
  observer.line().Show(fmt::format("starting {} node(s) in {}", options.nodes, directory));

  MemberOptions self;
  self.id = NodeId(1);
  self.peers = cluster.value()->peers();
  self.data_dir = cluster.value()->DirectoryOf(self.id);
  self.store = options.store;
  self.lead = true;
  self.limits = options.load.LimitsForIt();
  self.log_level = LogLevel::kWarning;
  Result<std::unique_ptr<Member>> member = Member::Start(self, counters.value()->ForNode(self.id));
  if (!member) return member.error();
  Result<void> ready = WaitUntilReady(*member.value(), signals, observer);
  if (!ready) return ready.error();

  auto load = std::make_unique<Load>(member.value()->raft(), member.value()->reactor(), options.load);
  Result<LoadStats> stats = Drive(*load, member.value()->raft(), options.load, signals, observer);
  observer.line().Clear();
  if (!stats) {
    member.value()->Stop();  // every call gets an answer, and the clients end
    load->End(kMaxStart);
    return stats.error();
  }
  Report report;
  report.nodes = options.nodes;
  report.load = options.load;
  report.store = options.store;
  report.where = fmt::format("{}, {}, {} CPUs", FileSystemOf(directory), Kernel(), CpuCount());
  TakeStats(report, stats.value());
  observer.AddTo(report);
  return report;
}

}  // namespace

int RunLocal(const LocalOptions& options, Signals& signals) {
  Result<Report> report = Measure(options, signals);
  if (!report) {
    fmt::print(stderr, "ringraft-bench: {}\n", report.error().message());
    return 1;
  }
  return Print(report.value(), options.json);
}

}  // namespace ringraft::bench
