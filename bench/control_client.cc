#include "control_client.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "control.h"
#include "line_socket.h"
#include "report.h"
#include "usage.h"

namespace ringraft::bench {
namespace {

using std::chrono::seconds;

Result<Message> AskStats(const Addr& node, Signals& signals) {
  Result<std::unique_ptr<LineSocket>> socket = LineSocket::Connect(node);
  if (!socket) return socket.error();
  if (!socket.value()->Send("stats")) return Error(Errc::kUnreachable, node.text() + ": the connection was closed");
  Result<Message> answer = socket.value()->Receive(seconds(5), signals);
  if (!answer) return Error(answer.error().code(), node.text() + ": " + answer.error().message());
  if (answer.value().word != "stats") return Error(Errc::kProtocol, node.text() + ": " + answer.value().rest);
  return answer;
}

class RemoteRun {
 public:
  RemoteRun(const LoadOptions& options, Signals& signals) : options_(options), signals_(signals) {}

  Result<Report> Measure() {
    Result<void> found = FindLeader();
    if (!found) return found.error();
    Result<std::unique_ptr<LineSocket>> socket = LineSocket::Connect(leader_);
    if (!socket) return socket.error();
    if (!socket.value()->Send("run " + ToFields(options_.load)))
      return Error(Errc::kUnreachable, "the connection was closed");
    report_.load = options_.load;
    const Duration silence = seconds(60);  // it reports every second
    while (true) {
      Result<Message> message = socket.value()->Receive(silence, signals_);
      if (!message) return Error(message.error().code(), leader_.text() + ": " + message.error().message());
      const std::string& word = message.value().word;
      if (word == "failed") return Error(Errc::kUnknown, leader_.text() + ": " + message.value().rest);
      Result<void> taken = Take(message.value());
      if (!taken) return taken.error();
      if (word == "result") return report_;
    }
  }

 private:
  Result<void> FindLeader() {
    for (const std::string& text : options_.controls) {
      Result<Message> stats = AskStats(Addr(text), signals_);
      if (!stats) return stats.error();
      report_.nodes = stats.value().Count("nodes");
      Result<StoreKind> store = ParseStore(stats.value().Text("store"));
      if (!store) return store.error();
      report_.store = store.value();
      if (stats.value().Count("leads") == 1) {
        leader_ = Addr(text);
      } else {
        followers_.emplace_back(text);
      }
    }
    if (leader_.empty())
      return Error(Errc::kNoLeader, "none of the nodes leads; give the --control of each, or wait for an election");
    report_.where = fmt::format("driven through {}", leader_.text());
    if (options_.controls.size() < report_.nodes) {
      report_.where += fmt::format("; CPU, flushes and bytes of {} nodes only", options_.controls.size());
    }
    return Success();
  }

  Result<void> Take(const Message& message) {
    if (message.word == "second") {
      Progress progress;
      progress.second = message.Number("second");
      progress.is_warmup = message.Count("warmup") == 1;
      progress.ops_per_s = message.Number("ops_per_s");
      progress.p50_us = message.Number("p50_us");
      progress.p99_us = message.Number("p99_us");
      line_.Show(progress);
    } else if (message.word == "window-start" || message.word == "window-end") {
      const Usage leader = UsageFrom(message);
      Usage all = leader;
      for (const Addr& follower : followers_) {
        Result<Message> stats = AskStats(follower, signals_);
        if (!stats) return stats.error();
        all += UsageFrom(stats.value());
      }
      // The first time these are the numbers to subtract the second time.
      report_.leader = leader - report_.leader;
      report_.all = all - report_.all;
      report_.seconds = message.Number("seconds");
    } else if (message.word == "error-line") {
      report_.error_lines += message.rest + "\n";
    } else if (message.word == "result") {
      report_.commands = message.Count("commands");
      report_.ops_per_s = message.Number("ops_per_s");
      report_.p50_us = message.Number("p50_us");
      report_.p99_us = message.Number("p99_us");
      report_.p999_us = message.Number("p999_us");
      report_.max_us = message.Number("max_us");
      report_.errors = message.Count("errors");
    }
    return Success();
  }

  const LoadOptions& options_;
  Signals& signals_;
  Addr leader_;
  std::vector<Addr> followers_;
  Report report_;
  ProgressLine line_;
};

}  // namespace

int RunLoadClient(const LoadOptions& options, Signals& signals) {
  Result<Report> report = RemoteRun(options, signals).Measure();
  if (report) return Print(report.value(), options.json);
  fmt::print(stderr, "ringraft-bench: {}\n", report.error().message());
  return 1;
}

}  // namespace ringraft::bench
