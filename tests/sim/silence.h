// A logger that drops all messages.
#pragma once

#include <string_view>

#include "ringraft/logger.h"

namespace ringraft::sim {

class Silence final : public Logger {
 public:
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace ringraft::sim
