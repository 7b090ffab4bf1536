#include "report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace ringraft::bench {
namespace {

std::string WithCommas(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string Time(double us) {
  if (us < 1000) return fmt::format("{:.0f} us", us);
  if (us < 1e6) return fmt::format("{:.2f} ms", us / 1e3);
  return fmt::format("{:.2f} s", us / 1e6);
}

std::string Size(size_t bytes) {
  if (bytes >= (size_t{1} << 20) && bytes % (size_t{1} << 20) == 0) return fmt::format("{} MiB", bytes >> 20);
  if (bytes >= 1024 && bytes % 1024 == 0) return fmt::format("{} KiB", bytes >> 10);
  return fmt::format("{} B", bytes);
}

double PerCommand(const Report& report, double value) {
  return report.commands == 0 ? 0 : value / static_cast<double>(report.commands);
}

double PerSecond(const Report& report, uint64_t value) {
  return report.seconds > 0 ? static_cast<double>(value) / report.seconds : 0;
}

std::string WrittenPerCommand(const Report& report) {
  if (!report.all.written_bytes) return "null";
  return fmt::format("{:.1f}", PerCommand(report, static_cast<double>(*report.all.written_bytes)));
}

std::string CommitLine(const Report& report) {
  if (report.leader.commits == 0) return "none on the leader";
  const double commits = static_cast<double>(report.leader.commits);
  return fmt::format("{} /s on the leader, {} each; {:.0f} commands, {:.1f} batches a commit",
                     WithCommas(PerSecond(report, report.leader.commits)),
                     Time(static_cast<double>(report.leader.commit_ns) / commits / 1e3),
                     static_cast<double>(report.commands) / commits,
                     static_cast<double>(report.leader.batches) / commits);
}

std::string ErrorLines(const LoadStats& stats) {
  std::string lines;
  for (size_t kind = 0; kind < LoadStats::kErrorKinds; ++kind) {
    if (stats.errors[kind] == 0) continue;
    lines += fmt::format("{} calls failed: {}\n", stats.errors[kind], stats.first_messages[kind]);
  }
  return lines;
}

}  // namespace

void TakeStats(Report& report, const LoadStats& stats) {
  report.commands = stats.commands;
  report.ops_per_s = stats.ops_per_s;
  report.p50_us = stats.latency.Quantile(0.5) / 1e3;
  report.p99_us = stats.latency.Quantile(0.99) / 1e3;
  report.p999_us = stats.latency.Quantile(0.999) / 1e3;
  report.max_us = static_cast<double>(stats.latency.max()) / 1e3;
  report.errors = stats.ErrorCount();
  report.error_lines = ErrorLines(stats);
}

std::string ToJson(const Report& report) {
  return fmt::format(
      R"({{"nodes":{},"payload":{},"outstanding":{},"seconds":{},"ops_per_s":{:.0f},"p50_us":{:.1f},"p99_us":{:.1f},)"
      R"("p999_us":{:.1f},"max_us":{:.1f},"cpu_s_per_million":{:.3f},"flushes_per_s":{:.0f},"bytes_written_per_op":{},)"
      R"("errors":{},"batch":{},"store":"{}"}})",
      report.nodes, report.load.payload, report.load.outstanding, report.load.seconds, report.ops_per_s, report.p50_us,
      report.p99_us, report.p999_us, report.max_us, PerCommand(report, static_cast<double>(report.all.cpu_ns) / 1e3),
      PerSecond(report, report.all.flushes), WrittenPerCommand(report), report.errors, report.load.batch,
      ToString(report.store));
}

std::string ToTable(const Report& report) {
  const double cpus = report.seconds > 0 ? static_cast<double>(report.all.cpu_ns) / 1e9 / report.seconds : 0;
  const double leader_cpus = report.seconds > 0 ? static_cast<double>(report.leader.cpu_ns) / 1e9 / report.seconds : 0;
  const std::string written = report.all.written_bytes ? WrittenPerCommand(report) + " bytes a command, all nodes"
                                                       : "not counted by this kernel";
  std::string table;
  table += fmt::format("{} node{}, {} store; {}\n", report.nodes, report.nodes == 1 ? "" : "s", ToString(report.store),
                       report.where);
  table +=
      fmt::format("commands of {}, {} a call, {} call{} in flight{}; {} s after {} s of warm-up\n\n",
                  Size(report.load.payload), WithCommas(static_cast<double>(report.load.batch)),
                  WithCommas(static_cast<double>(report.load.outstanding)), report.load.outstanding == 1 ? "" : "s",
                  report.load.threads == 0 ? "" : fmt::format(" from {} threads", report.load.threads),
                  report.load.seconds, report.load.warmup);
  table += fmt::format("  throughput  {} commands/s\n", WithCommas(report.ops_per_s));
  table += fmt::format("  latency     p50 {}   p99 {}   p99.9 {}   max {}\n", Time(report.p50_us), Time(report.p99_us),
                       Time(report.p999_us), Time(report.max_us));
  table +=
      fmt::format("  CPU         {:.2f} s a million commands; {:.2f} CPUs busy, {:.2f} by the leader and the clients\n",
                  PerCommand(report, static_cast<double>(report.all.cpu_ns) / 1e3), cpus, leader_cpus);
  table += fmt::format("  commits     {}\n", CommitLine(report));
  table += fmt::format("  flushes     {} /s, all nodes\n", WithCommas(PerSecond(report, report.all.flushes)));
  table += fmt::format("  written     {}\n", written);
  table += fmt::format("  errors      {}\n", report.errors);
  return table;
}

int Print(const Report& report, bool as_json) {
  fmt::print("{}{}", as_json ? ToJson(report) : ToTable(report), as_json ? "\n" : "");
  std::fflush(stdout);
  fmt::print(stderr, "{}", report.error_lines);
  return report.errors == 0 ? 0 : 1;
}

ProgressLine::ProgressLine() : is_terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::Show(const Progress& progress) {
  Show(fmt::format("{:4.0f} s  {:>11} commands/s   p50 {:>9}   p99 {:>9}{}", progress.second,
                   WithCommas(progress.ops_per_s), Time(progress.p50_us), Time(progress.p99_us),
                   progress.is_warmup ? "   (warming up)" : ""));
}

void ProgressLine::Show(const std::string& text) {
  if (!is_terminal_) return;
  fmt::print(stderr, "\r\033[K{}", text);
  std::fflush(stderr);
  is_shown_ = true;
}

void ProgressLine::Clear() {
  if (!is_shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  is_shown_ = false;
}

}  // namespace ringraft::bench
