// What a model may tell the search for linearizations beyond what `Model` asks of it. Optional: a model that also
// derives from `SearchHints` is searched faster, and every hint only leaves out what cannot succeed. A wrong hint makes
// the checker wrong, so whoever gives one has tests for it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringraft::checker {

// About one command with one answer, or with an unknown one. The defaults say nothing.
struct StepHint {
  bool is_read_only = false;  // changes no state in which it is possible
  bool is_overwrite = false;  // is possible in every state, and leaves the same one behind each
  std::optional<std::string> needs;   // possible in this state only
  std::optional<std::string> leaves;  // if it changes the state, then to this one
};

class SearchHints {
 public:
  virtual ~SearchHints() = default;
  // `result` is null if the answer is not known.
  virtual StepHint HintFor(std::string_view command, const std::string* result) const { return StepHint(); }
  // No sequence of commands leads from `state` to one in which `command` can be answered with `result`.
  virtual bool IsOutOfReach(std::string_view state, std::string_view command, const std::string& result) const {
    return false;
  }
};

}  // namespace ringraft::checker
