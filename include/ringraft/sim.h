// Runs a service's own state machine on a whole cluster in one process, from a seed: virtual time, a simulated network
// and simulated disks with faults, the library's own code for everything else. The same seed gives the same run.
//
//   class MyService : public ringraft::sim::Service { ... };
//   ringraft::sim::Report report = ringraft::sim::Run(service, ringraft::sim::SimOptions().Seed(7));
//   if (!report.ok()) std::puts(report.Text().c_str());
//
// One thread: nothing here may be called by two threads at a time, but several threads may run simulations of their
// own.
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

namespace ringraft::sim {

// A small generator (splitmix64): the same numbers with every compiler and standard library.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t n);                     // 0 .. n - 1; n is at least 1
  uint64_t Between(uint64_t low, uint64_t high);  // both included
  bool Chance(double probability);
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_;
};

// What a client did and what it heard, in virtual nanoseconds. Calls that certainly had no effect are not recorded.
struct Operation {
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  uint64_t client = 0;
  int64_t invoked = 0;
  int64_t returned = kNever;  // kNever: the outcome is unknown; it may take effect at any later time, or never
  std::string command;
  std::optional<std::string> result;  // given if and only if `returned` is
};

// The sequential specification of a service: what it would answer if one client called at a time.
class Model {
 public:
  virtual ~Model() = default;
  // Commands of different partitions do not influence each other: each partition is checked alone.
  virtual std::string Partition(std::string_view command) const { return std::string(); }
  virtual std::string Initial(std::string_view partition) const { return std::string(); }
  // Takes the state, an opaque text, over one command. False if the service could not have answered `result` in this
  // state; null: the answer is not known.
  virtual bool Step(std::string& state, std::string_view command, const std::string* result) const = 0;
  // For people: "set x 5". `result` may be null.
  virtual std::string Describe(std::string_view command, const std::string* result) const;
};

// Is there an order of the operations that the model allows and that keeps to their times? (Herlihy and Wing 1990; the
// search is Wing and Gong's with Lowe's cache, 1993 and 2017.)
struct LinearizabilityResult {
  enum class Verdict { kLinearizable, kNotLinearizable, kGaveUp };
  Verdict verdict = Verdict::kLinearizable;
  std::string partition;                       // of the failure
  std::vector<Operation> offending;            // a small part of that partition's history which is already impossible
  std::string Text(const Model& model) const;  // lines for people
  bool ok() const { return verdict == Verdict::kLinearizable; }  // giving up counts as a failure
};
// `max_steps` bounds the search over all partitions.
LinearizabilityResult CheckLinearizable(const Model& model, std::vector<Operation> history,
                                        uint64_t max_steps = 50'000'000);
// The operations of a history over time, as a page with a drawing (HTML with SVG).
std::string Timeline(const Model& model, const std::vector<Operation>& history, std::string_view title);

// What is put to the test: a state machine, the commands that its clients send, and what it should answer.
class Service {
 public:
  virtual ~Service() = default;
  // An empty machine, asked for at each start of a node: the log is replayed. In some runs the machines count as
  // durable (`StateMachine::IsDurable`): such a one first gets again what it had applied, but for some of the last, and
  // then what follows. What the machine says of itself is not asked: what it writes itself would outlive no crash.
  virtual std::unique_ptr<StateMachine> MakeMachine(NodeId node) = 0;
  // Equal for machines that have applied the same commands.
  virtual std::string Digest(StateMachine& machine) = 0;
  // The next command of a client. All randomness comes from `random`.
  virtual std::string NextCommand(Random& random, uint64_t client) = 0;
  virtual const Model& model() const = 0;
};

// Which kinds of trouble a run may have. Each seed draws a subset of those that are allowed, and their rates.
struct FaultKinds {
  bool network = true;     // cuts in one direction or both, slow links, resets, torn and late bytes, storms
  bool crashes = true;     // with and without a last word, all at once, clean stops
  bool disks = true;       // slow, stalled and failed flushes, full disks, damaged batches
  bool clocks = true;      // drift, jumps
  bool schedule = true;    // pauses, slow processors, ready coroutines in any order
  bool membership = true;  // changes of the members, wiped, replaced and copied nodes, transfers
  bool duplicates = true;  // calls that arrive twice
};

struct SimOptions {
  SimOptions() {}
  uint64_t seed = 1;
  uint64_t nodes = 5;                            // 1 .. 9
  uint64_t clients = 12;                         // 1 .. 1000
  Duration duration = std::chrono::seconds(60);  // virtual, of load with faults; 1 s .. 1 h
  FaultKinds faults;
  Options raft;  // time-outs and limits; the rest is set by the simulator
  // For replays: only the faults of the plan with these numbers happen; the run ends early. Empty and 0: all of it.
  std::optional<std::vector<uint64_t>> only_faults;
  uint64_t most_operations = 0;
  size_t story_lines = 60;
  std::function<void(const std::string& line)> on_line;  // each line of the story as it happens
  bool check_history = true;

  Result<void> Validate() const;
};

struct Report {
  bool ok() const { return rule.empty(); }
  std::string rule;                // the rule that was broken
  std::string what;                // how
  std::vector<std::string> story;  // the last lines of it
  uint64_t seed = 0;
  uint64_t trace_hash = 0;  // the same seed gives the same, with every compiler
  uint64_t operations = 0;  // calls of clients that were begun
  uint64_t succeeded = 0;
  uint64_t unknown = 0;  // whose outcome the client never learned
  uint64_t faults = 0;   // of the plan that happened
  std::vector<uint64_t> fault_numbers;
  uint64_t leaderships = 0;
  uint64_t committed = 0;  // log entries
  uint64_t events = 0;
  double virtual_seconds = 0;
  std::vector<Operation> history;
  LinearizabilityResult linearizability;

  std::string Text() const;  // for people: seed, rule, story
};

// One run. Never throws for what the run finds. An invariant of the library's own that breaks stops the process, as in
// production: print the seed before the run, or what it was is lost (ringraft-sim sees to that by itself).
Report Run(Service& service, const SimOptions& options);

// Runs again with fewer faults and operations while the same rule is broken; returns the smallest that was found.
SimOptions Shrink(Service& service, const SimOptions& failing, const Report& report, uint64_t most_runs = 60);

}  // namespace ringraft::sim
