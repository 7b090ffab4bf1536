// Histories as text, one operation per line:
//
//   1 0-10 write x 1 -> ok       client 1, called at 0, returned at 10
//   2 5-? write x 2              its outcome is unknown
//
// In answers of the kv workload a line end is written as \r\n.
#pragma once

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Operation;

inline std::string WithLineEnds(std::string text) {
  for (size_t at = text.find("\\r\\n"); at != std::string::npos; at = text.find("\\r\\n")) text.replace(at, 4, "\r\n");
  return text;
}

inline std::vector<Operation> ParseHistory(const std::string& text) {
  std::vector<Operation> history;
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    Operation operation;
    std::string end;
    char dash = 0;
    if (!(words >> operation.client)) continue;
    words >> operation.invoked >> dash >> end >> std::ws;
    REQUIRE(dash == '-');
    std::string rest;
    std::getline(words, rest);
    const size_t arrow = rest.find(" -> ");
    operation.command = rest.substr(0, arrow);
    if (end != "?") {
      REQUIRE(arrow != std::string::npos);
      operation.returned = std::stoll(end);
      operation.result = WithLineEnds(rest.substr(arrow + 4));
    }
    history.push_back(operation);
  }
  return history;
}

}  // namespace ringraft::checker
