// One run: load with faults, then everything healed, then progress, rest, equal states, and the clients' history.
#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "sim/clients.h"
#include "sim/cluster.h"
#include "sim/faults.h"
#include "sim/world.h"

namespace ringraft::sim {
namespace {

constexpr Nanos kMostRecovery = 60 * kSecond;  // after the faults, until clients succeed again
constexpr Nanos kMostRest = 30 * kSecond;      // after the clients, until nothing moves
constexpr uint64_t kStreak = 3;                // successes in a row that show it
constexpr Nanos kLookInterval = 100 * kMilli;
constexpr uint64_t kMostEvents = 50'000'000;  // some hundred times what a run of a minute needs

class Runner final {
 public:
  Runner(Service& service, const SimOptions& options)
      : options_(options),
        service_(service),
        world_(options.seed, options.story_lines),
        plan_(DrawPlan(world_.random(), options)),
        cluster_(world_, service, options, [this](uint64_t call) { OnApply(call); }),
        clients_(std::make_unique<Clients>(world_, cluster_, service, options.clients, options.most_operations)),
        saboteur_(world_, cluster_) {
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
    world_.Tell(fmt::format("seed {}: {} nodes, {} clients, {} faults planned{}", options_.seed, options_.nodes,
                            options_.clients, plan_.faults.size(),
                            plan_.has_durable_machines ? ", durable machines" : ""));
    cluster_.net().SetFaults(plan_.net);
    cluster_.SetDisks(plan_.disks);
    if (plan_.has_priorities) cluster_.UsePriorities();
    if (plan_.has_durable_machines) cluster_.UseDurableMachines();
    if (plan_.limits) cluster_.UseLimits(*plan_.limits);
    cluster_.SetSchedule(plan_.schedule);
    cluster_.taps() = plan_.taps;
    clients_->SetHabits(plan_.habits);
    for (Slot* slot : cluster_.slots()) cluster_.Start(*slot);
    clients_->Begin();
    saboteur_.Begin(plan_, options_);
  }

  // True if the condition came true; false at the limit or at a violation.
  bool RunUntil(Nanos limit, const std::function<bool()>& done) {
    Nanos next_look = world_.now();
    while (!world_.violation()) {
      if (world_.now() >= next_look) {
        if (done()) return true;
        if (std::string call = clients_->Overdue(); !call.empty()) world_.Fail("every call ends in time", call);
        if (std::string call = cluster_.Overdue(); !call.empty()) world_.Fail("every call ends in time", call);
        next_look = world_.now() + kLookInterval;
        if (world_.events() > kMostEvents) world_.Fail("a run comes to an end", "too much happens");
      }
      const bool was_there = world_.Step(std::min(limit, next_look));
      if (!was_there && world_.now() >= limit) return done();
    }
    return false;
  }

  void Recover() {
    saboteur_.HealAll();
    clients_->SetHabits(ClientHabits());
    clients_->ResetStreaks();
    const uint64_t budget = options_.most_operations;
    const bool works = RunUntil(world_.now() + kMostRecovery, [&] {
      return clients_->AllHaveStreak(kStreak) || (budget != 0 && clients_->begun() >= budget && clients_->IsIdle());
    });
    if (!works && !world_.violation())
      world_.Fail(
          "the cluster works again once all faults are over",
          fmt::format("not every client had {} successes in a row within {} s", kStreak, kMostRecovery / kSecond));
  }

  void Rest() {
    clients_->Stop();
    world_.Tell("the clients end");
    const bool rests =
        RunUntil(world_.now() + kMostRest, [&] { return clients_->IsIdle() && cluster_.Unrest().empty(); });
    if (world_.violation()) return;
    if (!rests)
      return world_.Fail("the cluster works again once all faults are over",
                         "it does not come to rest: " + (clients_->IsIdle() ? cluster_.Unrest() : "a client waits"));
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
    report.fault_numbers = saboteur_.happened();
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
  Saboteur saboteur_;
};

Error Invalid(const std::string& what) { return Error(Errc::kInvalidArgument, what); }

}  // namespace

Result<void> SimOptions::Validate() const {
  if (nodes < 1 || nodes > 9) return Invalid(fmt::format("nodes is {}; it must be 1 .. 9", nodes));
  if (clients < 1 || clients > 1000) return Invalid(fmt::format("clients is {}; it must be 1 .. 1000", clients));
  if (duration < std::chrono::seconds(1) || duration > std::chrono::hours(1))
    return Invalid(fmt::format("duration is {} s; it must be 1 s .. 1 h",
                               std::chrono::duration_cast<std::chrono::seconds>(duration).count()));
  return Success();
}

Report Run(Service& service, const SimOptions& options) {
  if (Result<void> valid = options.Validate(); !valid) {
    Report report;
    report.seed = options.seed;
    report.rule = "the options make sense";
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

// Greedy: the time first (what comes behind the failure is not needed), then halves, quarters ... of the faults, then
// the calls.
SimOptions Shrink(Service& service, const SimOptions& failing, const Report& report, uint64_t most_runs) {
  SimOptions best = failing;
  best.only_faults = report.fault_numbers;
  uint64_t runs = 0;
  auto fails = [&](const SimOptions& options) {
    if (runs >= most_runs) return false;
    ++runs;
    return Run(service, options).rule == report.rule;
  };
  // Where less goes wrong the clients get further: not beyond the calls of the failure, if it is to be had with these.
  SimOptions bounded = best;
  bounded.most_operations = report.operations;
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
    fewer.most_operations = calls = calls / 2;
    if (!fails(fewer)) break;
    best = fewer;
  }
  return best;
}

}  // namespace ringraft::sim
