// A logger that begins each line with the node's name: "node 1: stopped".
#pragma once

#include <string>
#include <string_view>

#include "base/format.h"
#include "ringraft/logger.h"
#include "ringraft/types.h"

namespace ringraft::node {

class NodeLogger {
 public:
  NodeLogger(Logger& logger, NodeId id) : logger_(logger), name_(fmt::format("node {}", id)) {}

  const std::string& name() const { return name_; }  // "node 1"

  void Write(LogLevel level, std::string_view message) const {
    logger_.Write(level, fmt::format("{}: {}", name_, message));
  }
  void Info(std::string_view message) const { Write(LogLevel::kInfo, message); }
  void Warning(std::string_view message) const { Write(LogLevel::kWarning, message); }
  void Error(std::string_view message) const { Write(LogLevel::kError, message); }

 private:
  Logger& logger_;
  const std::string name_;
};

}  // namespace ringraft::node
