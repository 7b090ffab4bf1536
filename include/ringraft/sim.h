// Runs a service's state machine on a whole cluster in one process, in virtual time, from a seed. Network and disks are
// simulated, with faults; everything else is the library's own code. The same seed gives the same run.
//
//   class MyService : public ringraft::sim::Service { ... };
//   MyService service;
//   ringraft::sim::SimOptions options;
//   options.seed = 7;
//   ringraft::sim::Report report = ringraft::sim::Run(service, options);
//   if (!report.ok()) std::puts(report.Text().c_str());
//
// Every object here is used by one thread at a time; several threads may run simulations of their own.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringraft/options.h"
#include "ringraft/state_machine.h"
#include "ringraft/types.h"
#include "ringraft/visibility.h"

namespace ringraft {
namespace RINGRAFT_PUBLIC sim {

// A small pseudo-random generator (splitmix64) with the same sequence on every compiler and standard library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t n);                     // in [0, n); n >= 1
  uint64_t Between(uint64_t low, uint64_t high);  // in [low, high]
  bool Chance(double probability);
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_;
};

// One call of a client and its result; times are virtual, in nanoseconds. Calls that certainly had no effect are not
// recorded.
struct Operation {
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  uint64_t client = 0;
  int64_t invoked = 0;
  int64_t returned = kNever;  // kNever: the outcome is unknown; the call may take effect at any later time, or never
  std::string command;
  std::optional<std::string> result;  // set if and only if `returned` is not kNever
};

// The sequential specification of a service: its results if one client called at a time.
class Model {
 public:
  virtual ~Model() = default;
  // Commands of different partitions do not affect each other: each partition is checked alone.
  virtual std::string Partition(std::string_view /*command*/) const { return std::string(); }
  virtual std::string Initial(std::string_view /*partition*/) const { return std::string(); }
  // Applies one command to `state`, an opaque text. Returns false if the service could not have returned `result` in
  // this state. A null `result` is not known and always possible.
  virtual bool Step(std::string& state, std::string_view command, const std::string* result) const = 0;
  // One operation as text for people: "set x 5". `result` may be null.
  virtual std::string Describe(std::string_view command, const std::string* result) const;
};

// The result of a search for an order of the operations that the model allows and that agrees with their times (Herlihy
// and Wing 1990; the search is Wing and Gong's, 1993, with Lowe's cache, 2017).
struct LinearizabilityResult {
  enum class Verdict { kLinearizable, kNotLinearizable, kGaveUp };
  Verdict verdict = Verdict::kLinearizable;
  std::string partition;                       // of the failure
  std::vector<Operation> offending;            // a small part of that partition's history that is impossible by itself
  std::string Text(const Model& model) const;  // lines for people
  bool ok() const { return verdict == Verdict::kLinearizable; }  // kGaveUp counts as a failure
};
// `max_steps` bounds the search over all partitions together; beyond it the verdict is kGaveUp.
LinearizabilityResult CheckLinearizable(const Model& model, std::vector<Operation> history,
                                        uint64_t max_steps = 50'000'000);
// Draws the operations of a history over time: an HTML page with an SVG image.
std::string Timeline(const Model& model, const std::vector<Operation>& history, std::string_view title);

// The service under test: its state machine, the commands of its clients, and the results that they may get.
class Service {
 public:
  virtual ~Service() = default;
  // Creates an empty machine, at each start of a node; the log is replayed into it. In some runs the simulator treats
  // the machines as durable (`StateMachine::IsDurable`): it then replays what the machine had applied, except for some
  // of the last entries, before the node applies the rest. The machine's own `IsDurable` is ignored, since what it
  // writes by itself survives no simulated crash.
  virtual std::unique_ptr<StateMachine> MakeMachine(NodeId node) = 0;
  // A text that is equal for machines that have applied the same commands.
  virtual std::string Digest(StateMachine& machine) = 0;
  // The next command of a client. `random` must be the only source of randomness.
  virtual std::string NextCommand(Random& random, uint64_t client) = 0;
  virtual const Model& model() const = 0;
};

// The kinds of faults that a run may have. Each seed draws a subset of those that are allowed, and their rates.
struct FaultKinds {
  bool network = true;     // cuts in one direction or both, slow links, resets, torn and late bytes, storms
  bool crashes = true;     // with and without resets to the peers, of all nodes at once; clean stops
  bool disks = true;       // slow, stalled and failed flushes, full disks, damaged batches
  bool clocks = true;      // drift, jumps
  bool schedule = true;    // pauses, slow processors, any order of ready coroutines
  bool membership = true;  // changes of the members; wiped, replaced and copied nodes; transfers of leadership
  bool duplicates = true;  // calls that arrive twice
};

struct SimOptions {
  SimOptions() {}
  uint64_t seed = 1;
  uint64_t nodes = 5;                            // 1 .. 9
  uint64_t clients = 12;                         // 1 .. 1000
  Duration duration = std::chrono::seconds(60);  // virtual time under load and faults; 1 s .. 1 h
  FaultKinds faults;
  Options raft;  // timeouts and limits are used; the simulator sets the rest
  // For replays: the run has only the faults with these numbers in its plan (unset: all of them), and ends after this
  // number of operations (0: no limit).
  std::optional<std::vector<uint64_t>> only_faults;
  uint64_t max_operations = 0;
  size_t story_lines = 60;                               // of Report::story
  std::function<void(const std::string& line)> on_line;  // called with each line of the story as it happens
  bool check_history = true;                             // for linearizability

  // Errors: kInvalidArgument, naming the option.
  Result<void> Validate() const;
};

struct Report {
  bool ok() const { return rule.empty(); }
  std::string rule;                // the rule that was broken; empty: none
  std::string what;                // how it was broken
  std::vector<std::string> story;  // the last lines of the run's story
  uint64_t seed = 0;
  uint64_t trace_hash = 0;  // equal for equal seeds and options, with every compiler
  uint64_t operations = 0;  // calls that clients began
  uint64_t succeeded = 0;
  uint64_t unknown = 0;                 // calls with an unknown outcome
  uint64_t faults = 0;                  // faults of the plan that happened
  std::vector<uint64_t> fault_numbers;  // their numbers in the plan
  uint64_t leaderships = 0;
  uint64_t committed = 0;  // log entries
  uint64_t events = 0;
  double virtual_seconds = 0;
  std::vector<Operation> history;
  LinearizabilityResult linearizability;

  std::string Text() const;  // story, seed, rule and totals
};

// Runs one simulation. Never throws because of what it finds. A broken invariant of the library aborts the process, as
// in production: print the seed before the run, or it is lost (ringraft-sim does so).
Report Run(Service& service, const SimOptions& options);

// Repeats a failing run with fewer faults and operations while the same rule is broken. Returns the options of the
// smallest failing run found in at most `max_runs` runs.
SimOptions Shrink(Service& service, const SimOptions& failing, const Report& report, uint64_t max_runs = 60);

}  // namespace sim
}  // namespace ringraft
