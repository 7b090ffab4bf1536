// A clock that the test advances.
#pragma once

#include <chrono>

#include "coro/loop.h"

namespace ringraft::coro {

class ManualTime final : public TimeSource {
 public:
  TimePoint Now() const override { return now; }
  std::chrono::system_clock::time_point WallNow() const override { return {}; }
  TimePoint now = TimePoint(std::chrono::seconds(1000));
};

}  // namespace ringraft::coro
