#include "drive.h"

#include <fmt/format.h>

#include <algorithm>

namespace ringraft::bench {
namespace {

using std::chrono::milliseconds;

Duration Seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

class Run {
 public:
  Run(Load& load, Raft& raft, Signals& signals, DriveObserver& observer)
      : load_(load), raft_(raft), signals_(signals), observer_(observer), start_(Clock::now()) {}

  Result<void> WaitUntil(TimePoint end, bool is_warmup) {
    TimePoint next_report = Clock::now() + kReportInterval;
    for (TimePoint now = Clock::now(); now < end && !load_.HasEnded(); now = Clock::now()) {
      signals_.Wait(std::min<Duration>({end - now, next_report - now, milliseconds(100)}));
      if (signals_.is_asked_to_stop()) return Error(Errc::kStopped, "interrupted");
      Result<void> checked = observer_.Check();
      if (!checked) return checked;
      if (!raft_.IsLeader()) return LeadershipLost();
      if (Clock::now() < next_report) continue;
      next_report += kReportInterval;
      Result<void> reported = Report(is_warmup);
      if (!reported) return reported;
    }
    return Success();
  }

  // The histogram starts anew.
  Result<void> Restart() {
    Result<void> restarted = load_.Restart();
    last_ = Histogram();
    last_commands_ = 0;
    last_time_ = Clock::now();
    return restarted;
  }

 private:
  static constexpr Duration kReportInterval = std::chrono::seconds(1);

  Error LeadershipLost() {
    Result<LoadStats> stats = load_.Read();
    const uint64_t failed = stats ? stats.value().ErrorCount() : 0;
    const RaftStatus status = raft_.Status();
    return Error(
        Errc::kNotLeader,
        fmt::format("this node lost the leadership after {:.1f} s under load ({} calls failed; it is a {} of term "
                    "{} now); is the disk or a peer stalled for longer than the election timeout?",
                    std::chrono::duration<double>(Clock::now() - start_).count(), failed, ToString(status.role),
                    status.term.value()));
  }

  Result<void> Report(bool is_warmup) {
    Result<LoadStats> stats = load_.Read();
    if (!stats) return stats.error();
    const TimePoint now = Clock::now();
    const Histogram recent = stats.value().latency.Since(last_);
    Progress progress;
    progress.second = std::chrono::duration<double>(now - start_).count();
    progress.is_warmup = is_warmup;
    progress.ops_per_s = static_cast<double>(stats.value().commands - last_commands_) /
                         std::chrono::duration<double>(now - last_time_).count();
    progress.p50_us = recent.Quantile(0.5) / 1e3;
    progress.p99_us = recent.Quantile(0.99) / 1e3;
    last_ = std::move(stats.value().latency);
    last_commands_ = stats.value().commands;
    last_time_ = now;
    observer_.OnSecond(progress);
    return Success();
  }

  Load& load_;
  Raft& raft_;
  Signals& signals_;
  DriveObserver& observer_;
  const TimePoint start_;
  Histogram last_;
  uint64_t last_commands_ = 0;
  TimePoint last_time_ = start_;
};

}  // namespace

Result<LoadStats> Drive(Load& load, Raft& raft, const LoadSpec& spec, Signals& signals, DriveObserver& observer) {
  Run run(load, raft, signals, observer);
  load.Start();
  Result<void> warm = run.WaitUntil(Clock::now() + Seconds(spec.warmup), true);
  if (!warm) return warm.error();
  Result<void> restarted = run.Restart();
  if (!restarted) return restarted.error();
  observer.OnWindowStart();
  Result<void> measured = run.WaitUntil(Clock::now() + Seconds(spec.seconds), false);
  if (!measured) return measured.error();
  Result<LoadStats> stats = load.Read();
  observer.OnWindowEnd();
  if (!stats) return stats;
  constexpr Duration kMaxWait = std::chrono::seconds(10);
  if (!load.End(kMaxWait)) return Error(Errc::kTimedOut, "calls are still unanswered 10 s after the end of the load");
  // The last calls are outside the window, but their errors count.
  Result<LoadStats> last = load.Read();
  if (!last) return last;
  stats.value().errors = last.value().errors;
  stats.value().first_messages = last.value().first_messages;
  return stats;
}

}  // namespace ringraft::bench
