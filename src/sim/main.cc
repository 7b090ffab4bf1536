// ringraft-sim: runs seeds, replays one, shrinks a failure, checks a recorded history.
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <span>

#include "base/assert.h"
#include "checker/history.h"
#include "ringraft/sim.h"
#include "sim/workload_service.h"

namespace ringraft::sim {
namespace {

constexpr size_t kStoryLines = 40;  // of a failing seed among others

struct Arguments {
  uint64_t seed = 0;
  std::string seeds;
  uint64_t jobs = 1;
  std::string workload = "mixed";
  uint64_t nodes = 5;
  uint64_t clients = 12;
  double duration = 60;
  std::vector<uint64_t> faults;
  bool no_faults = false;
  uint64_t operations = 0;
  bool story = false;
  bool shrink = false;
  bool hashes = false;
  bool stop = false;
  std::string html;
  std::string history;
};

Workload WorkloadOf(const Arguments& arguments, uint64_t seed) {
  if (auto named = checker::WorkloadFromName(arguments.workload)) return *named;
  constexpr Workload kAll[] = {Workload::kRegisters, Workload::kCounters, Workload::kLists, Workload::kKeyValue};
  return kAll[seed % 4];
}

SimOptions OptionsOf(const Arguments& arguments, uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  options.nodes = arguments.nodes;
  options.clients = arguments.clients;
  options.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.duration));
  options.max_operations = arguments.operations;
  if (!arguments.faults.empty()) options.only_faults = arguments.faults;
  if (arguments.no_faults) options.only_faults.emplace();
  return options;
}

std::string ReplayCommand(const Arguments& arguments, const SimOptions& options) {
  std::string command =
      fmt::format("ringraft-sim --seed {} --workload {} --nodes {} --clients {} --duration {}", options.seed,
                  arguments.workload, options.nodes, options.clients, arguments.duration);
  if (options.max_operations != 0) command += fmt::format(" --operations {}", options.max_operations);
  if (options.only_faults && options.only_faults->empty()) command += " --no-faults";
  if (options.only_faults && !options.only_faults->empty()) {
    command += " --only";
    for (uint64_t fault : *options.only_faults) command += fmt::format(" {}", fault);
  }
  return command + " --story";
}

// A broken invariant of the library stops the process; the seed must not be lost. The text is made before the run,
// since a signal handler must not allocate.
std::string abort_text;
void OnAbort(int) {
  [[maybe_unused]] auto written = ::write(STDOUT_FILENO, abort_text.data(), abort_text.size());
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

Report RunSeed(const Arguments& arguments, const SimOptions& options) {
  abort_text = fmt::format("seed {}: broken: the core's own invariants (see above)\n  replay: {}\n", options.seed,
                           ReplayCommand(arguments, options));
  WorkloadService service(WorkloadOf(arguments, options.seed));
  return Run(service, options);
}

// Runs the seed again to get its story. The first run omits it, to be faster.
void PrintFailure(const Arguments& arguments, SimOptions options, const Report& report) {
  options.story_lines = kStoryLines;
  const Report again = RunSeed(arguments, options);
  for (const std::string& line : again.story) std::printf("  %s\n", line.c_str());
  if (again.trace_hash != report.trace_hash)
    std::puts("  (this run differs from the failed one: the simulation is not deterministic)");
  std::printf("seed %llu: broken: %s: %s\n  replay: %s\n", static_cast<unsigned long long>(options.seed),
              report.rule.c_str(), report.what.substr(0, 300).c_str(), ReplayCommand(arguments, options).c_str());
}

int RunOne(const Arguments& arguments) {
  SimOptions options = OptionsOf(arguments, arguments.seed);
  if (arguments.story) options.on_line = [](const std::string& line) { std::puts(line.c_str()); };
  if (arguments.story) options.story_lines = 0;
  Report report = RunSeed(arguments, options);
  std::fputs(report.Text().c_str(), stdout);
  if (!arguments.html.empty()) {
    std::ofstream out(arguments.html);
    const auto& shown = report.linearizability.ok() ? report.history : report.linearizability.offending;
    out << Timeline(WorkloadService(WorkloadOf(arguments, arguments.seed)).model(), shown,
                    fmt::format("seed {}", arguments.seed));
    if (!out) {
      std::fprintf(stderr, "cannot write %s\n", arguments.html.c_str());
      return 2;
    }
  }
  if (report.ok()) return 0;
  std::printf("replay: %s\n", ReplayCommand(arguments, options).c_str());
  if (arguments.shrink) {
    options.on_line = nullptr;
    WorkloadService again(WorkloadOf(arguments, arguments.seed));
    SimOptions small = Shrink(again, options, report);
    std::printf("shrunk: %s\n", ReplayCommand(arguments, small).c_str());
  }
  return 1;
}

struct Totals {
  uint64_t seeds = 0, failures = 0, operations = 0, unknown = 0, faults = 0, leaderships = 0, events = 0;
  double virtual_seconds = 0;

  void Add(const Totals& other) {
    seeds += other.seeds;
    failures += other.failures;
    operations += other.operations;
    unknown += other.unknown;
    faults += other.faults;
    leaderships += other.leaderships;
    events += other.events;
    virtual_seconds += other.virtual_seconds;
  }
};

Totals Count(const Report& report) {
  return Totals{.seeds = 1,
                .failures = report.ok() ? uint64_t{0} : 1,
                .operations = report.operations,
                .unknown = report.unknown,
                .faults = report.faults,
                .leaderships = report.leaderships,
                .events = report.events,
                .virtual_seconds = report.virtual_seconds};
}

// The results of a worker process, in memory shared with the main process, so that they survive the worker.
struct Worker {
  pid_t pid = 0;      // used by the main process only; 0 once the worker has ended
  uint64_t seed = 0;  // the current or next one
  bool has_failed = false;
  Totals totals;
};

void RunSeeds(const Arguments& arguments, uint64_t last, Worker& worker) {
  for (; worker.seed <= last && !(worker.has_failed && arguments.stop); worker.seed += arguments.jobs) {
    SimOptions options = OptionsOf(arguments, worker.seed);
    options.story_lines = 0;
    Report report = RunSeed(arguments, options);
    if (arguments.hashes)
      std::printf("%llu %016llx\n", static_cast<unsigned long long>(worker.seed),
                  static_cast<unsigned long long>(report.trace_hash));
    if (!report.ok()) {
      worker.has_failed = true;
      PrintFailure(arguments, options, report);
    }
    worker.totals.Add(Count(report));  // last: if the worker dies before this, OnDeath counts the seed
    std::fflush(stdout);
  }
}

// Returns false if no process can be started.
bool Begin(const Arguments& arguments, uint64_t last, Worker& worker) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    RunSeeds(arguments, last, worker);
    std::fflush(stdout);
    ::_exit(0);
  }
  worker.pid = pid;
  return pid > 0;
}

// When a worker dies only its current seed is lost, and counts as a failure.
void OnDeath(const Arguments& arguments, Worker& worker, int status) {
  const std::string how =
      WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("status {}", WEXITSTATUS(status));
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)  // OnAbort has printed the seed
    std::printf("seed %llu: broken: the process completes the run: it ended with %s\n  replay: %s\n",
                static_cast<unsigned long long>(worker.seed), how.c_str(),
                ReplayCommand(arguments, OptionsOf(arguments, worker.seed)).c_str());
  worker.has_failed = true;
  ++worker.totals.seeds;
  ++worker.totals.failures;
  worker.seed += arguments.jobs;
}

// Runs until all workers have ended, or until one has failed if --stop is given. False if a worker cannot be started.
bool RunWorkers(const Arguments& arguments, uint64_t last, std::span<Worker> workers) {
  for (Worker& worker : workers)
    if (!Begin(arguments, last, worker)) return false;
  for (size_t left = workers.size(); left > 0;) {
    int status = 0;
    const pid_t pid = ::wait(&status);
    if (pid < 0) return false;
    Worker& worker = *std::find_if(workers.begin(), workers.end(), [&](const Worker& one) { return one.pid == pid; });
    worker.pid = 0;
    if (status != 0) OnDeath(arguments, worker, status);
    if (worker.has_failed && arguments.stop) break;
    if (status != 0 && worker.seed <= last) {
      if (!Begin(arguments, last, worker)) return false;
    } else {
      --left;
    }
  }
  return true;
}

int RunMany(const Arguments& arguments, uint64_t first, uint64_t last) {
  const auto begun = std::chrono::steady_clock::now();
  const size_t bytes = arguments.jobs * sizeof(Worker);
  void* shared = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    std::fprintf(stderr, "cannot allocate memory for %llu processes: %s; use fewer --jobs\n",
                 static_cast<unsigned long long>(arguments.jobs), std::strerror(errno));
    return 2;
  }
  const std::span<Worker> workers(static_cast<Worker*>(shared), arguments.jobs);
  for (size_t job = 0; job < workers.size(); ++job) new (&workers[job]) Worker{.seed = first + job};
  const bool has_run = RunWorkers(arguments, last, workers);
  for (const Worker& worker : workers)
    if (worker.pid > 0) ::kill(worker.pid, SIGKILL);
  if (!has_run) {
    std::fprintf(stderr, "cannot start a process: %s; use fewer --jobs than %llu\n", std::strerror(errno),
                 static_cast<unsigned long long>(arguments.jobs));
    return 2;
  }
  Totals all;
  for (const Worker& worker : workers) all.Add(worker.totals);
  if (all.failures != 0 && arguments.stop) {
    std::printf("stopped at the first failure\n");
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double seeds = static_cast<double>(std::max<uint64_t>(all.seeds, 1));
  std::printf(
      "%llu seeds, %llu failures; average per seed: %.0f operations (%.1f unknown), %.1f faults, %.1f leaderships, "
      "%.1f virtual seconds, %.0f events\n",
      static_cast<unsigned long long>(all.seeds), static_cast<unsigned long long>(all.failures),
      static_cast<double>(all.operations) / seeds, static_cast<double>(all.unknown) / seeds,
      static_cast<double>(all.faults) / seeds, static_cast<double>(all.leaderships) / seeds,
      all.virtual_seconds / seeds, static_cast<double>(all.events) / seeds);
  if (!arguments.hashes)
    std::printf("%.1f s with %llu processes, each at %.0f times real time\n", seconds,
                static_cast<unsigned long long>(arguments.jobs),
                all.virtual_seconds / seconds / static_cast<double>(arguments.jobs));
  return all.failures == 0 ? 0 : 1;
}

int Check(const Arguments& arguments) {
  std::ifstream in(arguments.history);
  if (!in) {
    std::fprintf(stderr, "cannot read %s\n", arguments.history.c_str());
    return 2;
  }
  auto workload = checker::WorkloadFromName(arguments.workload);
  if (!workload) {
    std::fprintf(stderr, "invalid --model '%s': expected registers, counters, lists or kv\n",
                 arguments.workload.c_str());
    return 2;
  }
  Result<std::vector<Operation>> history = checker::ReadHistory(in);
  if (!history) {
    std::fprintf(stderr, "%s: %s\n", arguments.history.c_str(), history.error().message().c_str());
    return 2;
  }
  auto model = checker::MakeModel(*workload);
  LinearizabilityResult result = CheckLinearizable(*model, history.value());
  std::printf("%zu operations: %s\n", history.value().size(), result.ok() ? "linearizable" : "NOT linearizable");
  if (!result.ok()) std::fputs(result.Text(*model).c_str(), stdout);
  if (!arguments.html.empty()) {
    std::ofstream out(arguments.html);
    out << Timeline(*model, result.ok() ? history.value() : result.offending, arguments.history);
  }
  return result.ok() ? 0 : 1;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "Simulates a cluster of ringraft nodes in one process, in virtual time, from a seed. Exit codes: 0 no rule was "
      "broken, 1 a rule was broken, 2 an error.");
  app.option_defaults()->always_capture_default();
  app.add_option("--seed", arguments.seed, "Run this seed, and print the end of its story if it fails");
  app.add_option("--seeds", arguments.seeds, "Run the seeds FIRST..LAST");
  app.add_option("--jobs", arguments.jobs, "Number of processes for --seeds")->check(CLI::Range(1, 256));
  app.add_option("--workload", arguments.workload, "registers, counters, lists, kv, or mixed (depends on the seed)")
      ->check(CLI::IsMember({"registers", "counters", "lists", "kv", "mixed"}));
  app.add_option("--nodes", arguments.nodes, "Number of nodes")->check(CLI::Range(1, 9));
  app.add_option("--clients", arguments.clients, "Number of clients")->check(CLI::Range(1, 1000));
  app.add_option("--duration", arguments.duration, "Virtual seconds of load with faults")
      ->check(CLI::Range(1.0, 3600.0));
  app.add_option("--only", arguments.faults, "Inject only the planned faults with these numbers");
  app.add_flag("--no-faults", arguments.no_faults, "Inject no planned faults");
  app.add_option("--operations", arguments.operations, "Maximum number of calls; 0: no limit");
  app.add_flag("--story", arguments.story, "Print the story, the log of the run, as it happens");
  app.add_flag("--shrink", arguments.shrink, "Search for a smaller run that breaks the same rule");
  app.add_flag("--stop", arguments.stop, "With --seeds: stop at the first failure");
  app.add_flag("--hashes", arguments.hashes,
               "Print the hash of each seed's trace, and no real times");
  app.add_option("--html", arguments.html, "Write a drawing of the history, or of its counterexample, to this file");
  CLI::App* check = app.add_subcommand("check", "Check a recorded history for linearizability");
  check->add_option("file", arguments.history, "The recorded history (format: src/checker/history.h)")->required();
  check->add_option("--model", arguments.workload, "registers, counters, lists or kv")->required();
  check->add_option("--html", arguments.html, "Write a drawing of it to this file");
  CLI11_PARSE(app, argc, argv);
  signal(SIGABRT, OnAbort);
  setvbuf(stdout, nullptr, _IOLBF, 0);  // so that lines are not lost if an invariant stops the process
  if (check->parsed()) return Check(arguments);
  if (arguments.seeds.empty()) return RunOne(arguments);
  uint64_t first = 0, last = 0;
  if (std::sscanf(arguments.seeds.c_str(), "%lu..%lu", &first, &last) != 2 || first > last) {
    std::fprintf(stderr, "invalid --seeds '%s': expected FIRST..LAST, for example 1..300\n", arguments.seeds.c_str());
    return 2;
  }
  return RunMany(arguments, first, last);
}

}  // namespace
}  // namespace ringraft::sim

int main(int argc, char** argv) { return ringraft::sim::Main(argc, argv); }
