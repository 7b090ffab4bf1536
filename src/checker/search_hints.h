// Optional hints of a model for the search, beyond the interface of `Model`: a model that also derives from
// `SearchHints` is searched faster. A hint only excludes what cannot succeed. A wrong hint makes the checker wrong, so
// every hint needs a test.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringraft::checker {

// About one command with a known or unknown answer. The defaults claim nothing.
struct StepHint {
  bool is_read_only = false;  // changes no state in which it is possible
  bool is_overwrite = false;  // is possible in every state, and always leaves the same state
  std::optional<std::string> needs;   // possible only in this state
  std::optional<std::string> leaves;  // if it changes the state, then to this
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
