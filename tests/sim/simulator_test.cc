// The simulator: the same seed gives the same run, correct services pass, wrong ones fail.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "ringraft/sim.h"
#include "sim/workload_machine.h"
#include "sim/workload_service.h"

namespace ringraft::sim {
namespace {

SimOptions Short(uint64_t seed) {
  SimOptions options;
  options.seed = seed;
  options.duration = std::chrono::seconds(8);
  return options;
}

// A register service that is wrong in one way.
class WrongService : public Service {
 public:
  enum class Way { kDependsOnNode, kForgetsWrites, kDependsOnGroups };
  explicit WrongService(Way way) : way_(way) {}

  std::unique_ptr<StateMachine> MakeMachine(NodeId node) override { return std::make_unique<Machine>(way_, node); }
  std::string Digest(StateMachine& machine) override { return static_cast<Machine&>(machine).Digest(); }
  std::string NextCommand(Random& random, uint64_t client) override { return good_.NextCommand(random, client); }
  const Model& model() const override { return good_.model(); }

 private:
  class Machine final : public StateMachine {
   public:
    Machine(Way way, NodeId node) : way_(way), node_(node), good_(Workload::kRegisters) {}
    Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
      for (const LogEntry& entry : entries) {
        const bool is_write = entry.command.starts_with("write");
        ++count_;
        if (is_write && way_ == Way::kForgetsWrites && entry.index.value() % 5 == 0) {
          results.Add("ok");
        } else if (is_write && way_ == Way::kDependsOnNode && count_ % 50 == node_.value()) {
          results.Add(good_.Execute("write k0 9"));
        } else if (way_ == Way::kDependsOnGroups && entries.size() > 2) {
          results.Add("nil");
        } else {
          results.Add(good_.Execute(entry.command));
        }
      }
      return entries.size();
    }
    std::string Digest() const { return good_.Digest(); }

   private:
    const Way way_;
    const NodeId node_;
    uint64_t count_ = 0;
    WorkloadMachine good_;
  };

  const Way way_;
  WorkloadService good_{Workload::kRegisters, 2};
};

std::set<std::string> RulesBrokenBy(WrongService::Way way) {
  std::set<std::string> rules;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    WrongService service(way);
    rules.insert(Run(service, Short(seed)).rule);
  }
  return rules;
}

}  // namespace

TEST_SUITE_BEGIN("simulator");

TEST_CASE("the same seed gives the same run, different seeds give different runs") {
  std::map<uint64_t, uint64_t> hashes;
  for (uint64_t seed : {1, 2, 3, 1, 2, 3}) {
    WorkloadService service(Workload::kLists);
    const Report report = Run(service, Short(seed));
    CHECK_MESSAGE(report.ok(), report.Text());
    auto [known, is_new] = hashes.try_emplace(seed, report.trace_hash);
    CHECK(known->second == report.trace_hash);
  }
  CHECK(hashes[1] != hashes[2]);
  CHECK(hashes[2] != hashes[3]);
}

TEST_CASE("every workload passes on one to seven nodes, and all kinds of faults can be disabled") {
  for (uint64_t nodes : {1, 2, 3, 7}) {
    for (Workload workload : {Workload::kRegisters, Workload::kCounters, Workload::kLists, Workload::kKeyValue}) {
      WorkloadService service(workload);
      SimOptions options = Short(nodes);
      options.nodes = nodes;
      const Report report = Run(service, options);
      CHECK_MESSAGE(report.ok(), report.Text());
      CHECK(report.succeeded > 0);
    }
  }
  WorkloadService service(Workload::kCounters);
  SimOptions calm = Short(5);
  calm.faults = FaultKinds{false, false, false, false, false, false, false};
  const Report report = Run(service, calm);
  CHECK_MESSAGE(report.ok(), report.Text());
  CHECK(report.faults == 0);
  CHECK(report.leaderships == 1);
}

TEST_CASE("a state machine that depends on its node is detected by the final states or by the history") {
  const auto rules = RulesBrokenBy(WrongService::Way::kDependsOnNode);
  CHECK((rules.contains("all nodes end in the same state") || rules.contains("the history is linearizable")));
}

TEST_CASE("a state machine that forgets a write is detected by the history") {
  CHECK(RulesBrokenBy(WrongService::Way::kForgetsWrites).contains("the history is linearizable"));
}

TEST_CASE("a state machine that depends on how entries are grouped is detected by the history") {
  CHECK(RulesBrokenBy(WrongService::Way::kDependsOnGroups).contains("the history is linearizable"));
}

TEST_CASE("a failure is shrunk to a run that breaks the same rule with fewer faults and calls") {
  WrongService service(WrongService::Way::kForgetsWrites);
  Report report;
  SimOptions options;
  for (uint64_t seed = 1; report.ok(); ++seed) {
    REQUIRE(seed < 20);
    options = Short(seed);
    report = Run(service, options);
  }
  const SimOptions small = Shrink(service, options, report, 30);
  REQUIRE(small.only_faults.has_value());
  CHECK(small.only_faults->size() < report.fault_numbers.size());
  const Report again = Run(service, small);
  CHECK(again.rule == report.rule);
  CHECK(again.operations < report.operations);
}

TEST_CASE("invalid options are refused by name") {
  WorkloadService service(Workload::kLists);
  SimOptions options;
  options.nodes = 10;
  CHECK(Run(service, options).what.find("invalid nodes 10") != std::string::npos);
  options = SimOptions();
  options.duration = Duration(0);
  CHECK(Run(service, options).what.find("invalid duration 0 s") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace ringraft::sim
