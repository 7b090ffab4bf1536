// The built-in workloads as services of the simulator.
#pragma once

#include <memory>
#include <string>

#include "checker/models.h"
#include "ringraft/sim.h"

namespace ringraft::sim {

using checker::Workload;
using checker::WorkloadModel;

class WorkloadService final : public Service {
 public:
  explicit WorkloadService(Workload workload, uint64_t keys = 8);

  std::unique_ptr<StateMachine> MakeMachine(NodeId node) override;
  std::string Digest(StateMachine& machine) override;
  std::string NextCommand(Random& random, uint64_t client) override;
  const Model& model() const override { return *model_; }

 private:
  std::string NextKeyValue(Random& random, const std::string& key, const std::string& value) const;

  const Workload workload_;
  const uint64_t keys_;
  uint64_t next_value_ = 1;
  std::unique_ptr<WorkloadModel> model_;
};

}  // namespace ringraft::sim
