// One run: load with faults; then all faults end; then the cluster must make progress, come to rest and have equal
// states, and the history of the clients must be linearizable.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "sim/clients.h"
#include "sim/cluster.h"
#include "sim/fault_injector.h"
#include "sim/faults.h"
#include "sim/world.h"

namespace ringraft::sim {
namespace {

constexpr Nanos kMostRecovery = 60 * kSecond;  // from the end of the faults until clients succeed again
constexpr Nanos kMostRest = 30 * kSecond;      // from the end of the clients until nothing happens
constexpr uint64_t kStreak = 3;                // successes in a row of each client
constexpr Nanos kLookInterval = 100 * kMilli;
constexpr uint64_t kMostEvents = 50'000'000;  // several hundred times as many as a run of a minute needs

class Runner final {
 public:
  Runner(Service& service, const SimOptions& options)
      : options_(options),
        service_(service),
        world_(options.seed, options.story_lines),
        plan_(DrawPlan(world_.random(), options)),
        cluster_(world_, service, options, [this](uint64_t call) { OnApply(call); }),
        clients_(std::make_unique<Clients>(world_, cluster_, service, options.clients, options.max_operations)),
        injector_(world_, cluster_) {
    world_.trace().on_line = options.on_line;
  }

  ~Runner() { clients_.reset(); }

  Report Run() {
    SetUp();
    const Nanos load = std::chrono::duration_cast<std::chrono::nanoseconds>(options_.duration).count();
    RunUntil(load, [] { return false; });
    if (!world_.violation()) Recover();
    if (!world_.violation()) Rest();
    const Nanos end = world_.now();
    Report report = MakeReport(end);
    return report;
  }

 private:
  void OnApply(uint64_t call) {
    if (clients_ != nullptr) clients_->OnApplied(call);
  }

  void SetUp() {
    world_.Log(fmt::format("seed {}: {} nodes, {} clients, {} faults planned{}", options_.seed, options_.nodes,
                            options_.clients, plan_.faults.size(),
                            plan_.has_durable_machines ? ", durable machines" : ""));
    cluster_.net().SetFaults(plan_.net);
    cluster_.SetDisks(plan_.disks);
    if (plan_.has_priorities) cluster_.UsePriorities();
    if (plan_.has_durable_machines) cluster_.UseDurableMachines();
    if (plan_.limits) cluster_.UseLimits(*plan_.limits);
    cluster_.SetSchedule(plan_.schedule);
    cluster_.rpc_faults() = plan_.rpc;
    cluster_.machine_faults() = plan_.machines;
    clients_->SetHabits(plan_.habits);
    for (Slot* slot : cluster_.slots()) cluster_.Start(*slot);
    clients_->Begin();
    injector_.Begin(plan_, options_);
  }

  // Returns whether the condition became true before the limit and without a violation.
  bool RunUntil(Nanos limit, const std::function<bool()>& done) {
    Nanos next_look = world_.now();
    while (!world_.violation()) {
      if (world_.now() >= next_look) {
        if (done()) return true;
        if (std::string call = clients_->Overdue(); !call.empty()) world_.Fail("every call ends in time", call);
        if (std::string call = cluster_.Overdue(); !call.empty()) world_.Fail("every call ends in time", call);
        next_look = world_.now() + kLookInterval;
        if (world_.events() > kMostEvents) world_.Fail("a run ends", "too many events");
      }
      const bool was_there = world_.Step(std::min(limit, next_look));
      if (!was_there && world_.now() >= limit) return done();
    }
    return false;
  }

  void Recover() {
    injector_.HealAll();
    clients_->SetHabits(ClientHabits());
    clients_->ResetStreaks();
    const uint64_t budget = options_.max_operations;
    const bool works = RunUntil(world_.now() + kMostRecovery, [&] {
      return clients_->AllHaveStreak(kStreak) || (budget != 0 && clients_->begun() >= budget && clients_->IsIdle());
    });
    if (!works && !world_.violation())
      world_.Fail(
          "the cluster recovers after all faults end",
          fmt::format("not every client had {} successes in a row within {} s", kStreak, kMostRecovery / kSecond));
  }

  void Rest() {
    clients_->Stop();
    world_.Log("the clients end");
    const bool rests =
        RunUntil(world_.now() + kMostRest, [&] { return clients_->IsIdle() && cluster_.Unrest().empty(); });
    if (world_.violation()) return;
    if (!rests)
      return world_.Fail(
          "the cluster recovers after all faults end",
          "it does not come to rest: " + (clients_->IsIdle() ? cluster_.Unrest() : "a client is waiting"));
    std::string first;
    for (Slot* slot : cluster_.slots()) {
      if (slot->is_witness) continue;
      std::string digest = cluster_.Digest(*slot);
      if (first.empty()) first = digest;
      if (digest != first)
        world_.Fail("all nodes end in the same state", fmt::format("node {} differs from the others", slot->id));
    }
  }

  Report MakeReport(Nanos end) {
    Report report;
    report.seed = options_.seed;
    report.operations = clients_->begun();
    report.succeeded = clients_->succeeded();
    report.unknown = clients_->unknown();
    report.history = clients_->TakeHistory();
    if (options_.check_history && !world_.violation()) CheckHistory(report);
    report.rule = world_.violation().rule;
    report.what = world_.violation().what;
    report.story.assign(world_.trace().story().begin(), world_.trace().story().end());
    report.fault_numbers = injector_.happened();
    report.faults = report.fault_numbers.size();
    report.leaderships = cluster_.oracle().leaderships();
    report.committed = cluster_.oracle().committed();
    report.events = world_.events();
    report.virtual_seconds = static_cast<double>(end) / 1e9;
    world_.trace().Mix(report.operations, report.succeeded, report.committed, report.events);
    report.trace_hash = world_.trace().hash();
    return report;
  }

  void CheckHistory(Report& report) {
    report.linearizability = CheckLinearizable(service_.model(), report.history);
    if (!report.linearizability.ok())
      world_.Fail("the history is linearizable", report.linearizability.Text(service_.model()));
  }

  const SimOptions& options_;
  Service& service_;
  World world_;
  Plan plan_;
  Cluster cluster_;
  std::unique_ptr<Clients> clients_;
  FaultInjector injector_;
};

Error Invalid(const std::string& what) { return Error(Errc::kInvalidArgument, what); }

}  // namespace

Result<void> SimOptions::Validate() const {
  if (nodes < 1 || nodes > 9) return Invalid(fmt::format("invalid nodes {}: expected 1..9", nodes));
  if (clients < 1 || clients > 1000) return Invalid(fmt::format("invalid clients {}: expected 1..1000", clients));
  if (duration < std::chrono::seconds(1) || duration > std::chrono::hours(1))
    return Invalid(fmt::format("invalid duration {} s: expected 1 s .. 1 h",
                               std::chrono::duration_cast<std::chrono::seconds>(duration).count()));
  return Success();
}

Report Run(Service& service, const SimOptions& options) {
  if (Result<void> valid = options.Validate(); !valid) {
    Report report;
    report.seed = options.seed;
    report.rule = "the options are valid";
    report.what = valid.error().message();
    return report;
  }
  auto runner = std::make_unique<Runner>(service, options);
  return runner->Run();
}

std::string Report::Text() const {
  std::string text;
  if (ok()) {
    text = fmt::format("seed {}: no rule broken in {:.1f} virtual seconds", seed, virtual_seconds);
  } else {
    for (const std::string& line : story) text += line + "\n";
    text += fmt::format("\nseed {}: broken: {}\n  {}", seed, rule, what);
  }
  text += fmt::format(
      "\n{} calls ({} succeeded, {} unknown), {} faults, {} leaderships, {} entries committed, trace {:016x}\n",
      operations, succeeded, unknown, faults, leaderships, committed, trace_hash);
  return text;
}

// Greedy: first omits the calls after the failure, then halves, quarters, ... of the faults, then further calls.
SimOptions Shrink(Service& service, const SimOptions& failing, const Report& report, uint64_t max_runs) {
  SimOptions best = failing;
  best.only_faults = report.fault_numbers;
  uint64_t runs = 0;
  auto fails = [&](const SimOptions& options) {
    if (runs >= max_runs) return false;
    ++runs;
    return Run(service, options).rule == report.rule;
  };
  // With fewer faults the clients make more calls. If the failure needs no more calls than it had, bounds them by that.
  SimOptions bounded = best;
  bounded.max_operations = report.operations;
  if (fails(bounded)) {
    best = bounded;
  } else if (!fails(best)) {
    return failing;
  }
  for (size_t chunk = best.only_faults->size(); chunk > 0; chunk /= 2) {
    for (size_t begin = 0; begin < best.only_faults->size();) {
      SimOptions fewer = best;
      const size_t end = std::min(begin + chunk, fewer.only_faults->size());
      fewer.only_faults->erase(fewer.only_faults->begin() + static_cast<ptrdiff_t>(begin),
                               fewer.only_faults->begin() + static_cast<ptrdiff_t>(end));
      if (fails(fewer)) {
        best = fewer;
      } else {
        begin = end;
      }
    }
  }
  for (uint64_t calls = report.operations; calls > 1;) {
    SimOptions fewer = best;
    fewer.max_operations = calls = calls / 2;
    if (!fails(fewer)) break;
    best = fewer;
  }
  return best;
}

}  // namespace ringraft::sim
