// The services of the built-in workloads as state machines, on the encodings of checker/models.h. Volatile: a node that
// restarts replays its log. Independent of the models, which check it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checker/models.h"
#include "ringraft/state_machine.h"

namespace ringraft::sim {

using checker::Workload;

class WorkloadMachine final : public StateMachine {
 public:
  explicit WorkloadMachine(Workload workload) : workload_(workload) {}

  Result<size_t> Apply(std::span<const LogEntry> entries, ApplyResults& results) override;

  // Runs one command and returns its answer. An unknown command changes nothing and is answered "error: ...".
  std::string Execute(std::string_view command);

  // Equal for equal states, and in practice only for those: "lists, 3 keys, 9f86d081884c7d65".
  std::string Digest() const;

 private:
  using Words = std::vector<std::string>;

  std::string OnRegister(const Words& words);
  std::string OnCounter(const Words& words);
  std::string OnList(const Words& words);
  std::string OnKeyValue(const Words& words);
  std::string Set(const Words& words);
  std::string Increment(const std::string& key, std::string_view by, bool is_decrement);
  std::string Append(const std::string& key, const std::string& tail);

  const Workload workload_;
  std::map<std::string, std::string> values_;         // registers, kv
  std::map<std::string, int64_t> sums_;               // counters
  std::map<std::string, std::vector<std::string>> lists_;
};

}  // namespace ringraft::sim
