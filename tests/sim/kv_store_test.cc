// The state machine of ringraft-kv on a simulated cluster, checked against an independent model of its commands.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checker/word_encoding.h"
#include "kv/store.h"
#include "ringraft/sim.h"
#include "sim/workload_service.h"

namespace ringraft::sim {
namespace {

using checker::SplitWords;
using checker::Workload;

constexpr uint64_t kKeys = 8;

// Translates the words of the workload into the commands that the sessions of ringraft-kv write into the log.
class StoreMachine final : public StateMachine {
 public:
  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override {
    std::vector<std::string> encoded(entries.size());
    std::vector<LogEntry> translated(entries.begin(), entries.end());
    for (size_t i = 0; i < entries.size(); ++i) {
      const std::optional<std::vector<std::string>> words = SplitWords(entries[i].command);
      REQUIRE(words.has_value());
      const std::vector<std::string_view> args(words->begin(), words->end());
      kv::EncodeCommand(kv::Protocol::kResp2, args, encoded[i]);
      translated[i].command = encoded[i];
    }
    return store_.Apply(translated, results);
  }

  std::string Digest() {
    std::string all = fmt::format("{} keys", store_.key_count());
    for (uint64_t number = 0; number < kKeys; ++number) {
      const std::string key = fmt::format("k{}", number);
      const std::vector<std::string_view> get = {"GET", key};
      store_.Execute(kv::Protocol::kResp2, get, all);
    }
    return all;
  }

 private:
  kv::KeyValueStore store_;
};

class StoreService final : public Service {
 public:
  std::unique_ptr<StateMachine> MakeMachine(NodeId) override { return std::make_unique<StoreMachine>(); }
  std::string Digest(StateMachine& machine) override { return static_cast<StoreMachine&>(machine).Digest(); }
  std::string NextCommand(Random& random, uint64_t client) override {
    const std::string command = workload_.NextCommand(random, client);
    const std::string name = SplitWords(command)->front();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return command;
  }
  const Model& model() const override { return workload_.model(); }

  std::vector<std::string> names;  // of all commands sent

 private:
  WorkloadService workload_{Workload::kKeyValue, kKeys};
};

TEST_SUITE("sim/kv_store") {
  TEST_CASE("with all faults the state machine of ringraft-kv is linearizable and ends equal on all nodes") {
    for (uint64_t seed = 1; seed <= 10; ++seed) {
      StoreService service;
      SimOptions options;
      options.seed = seed;
      options.duration = std::chrono::seconds(20);
      const Report report = Run(service, options);
      INFO(report.Text());
      CHECK(report.ok());
      CHECK(report.succeeded > 100);
      CHECK(service.names.size() == 12);
    }
  }
}

}  // namespace
}  // namespace ringraft::sim
