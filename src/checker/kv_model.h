// The model of ringraft-kv's commands on one key (see models.h). Answers are replies in the Redis protocol. The state
// is empty if the key does not exist, otherwise '=' and its value. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "checker/models.h"

namespace ringraft::checker {

class KvModel final : public WorkloadModel {
 public:
  bool IsCommand(std::string_view command) const override;
  bool Step(std::string& state, std::string_view command, const std::string* result) const override;
  std::string Describe(std::string_view command, const std::string* result) const override;
  StepHint HintFor(std::string_view command, const std::string* result) const override;
};

}  // namespace ringraft::checker
