#include "core_driver/driven_core.h"

#include <algorithm>
#include <utility>

namespace ringraft::core {

std::string DrivenCore::Start(const CoreOptions& options, Index applied, TimePoint now) {
  const RecoveredLog recovered = disk.Recover();
  auto checked = Core::CheckRecovered(recovered);
  if (!checked) return checked.error().message();
  ++life;
  machine = applied;
  core = std::make_unique<Core>(options, recovered, applied, now);
  return "";
}

void DrivenCore::Crash(size_t written) {
  for (size_t i = 0; i < std::min(written, writing.size()); ++i) {
    std::string wrong = disk.Commit(writing[i]);
    if (problem.empty()) problem = std::move(wrong);
  }
  core.reset();
  ++life;
  writing.clear();
  gated.clear();
}

void DrivenCore::TakeWrites(TimePoint now) {
  while (core->HasWrite()) writing.push_back(core->NextWrite(now));
}

std::vector<DrivenCore::Gated> DrivenCore::FinishWrites(TimePoint now, size_t count) {
  WriteNumber number = 0;
  for (; count > 0; --count) {
    number = writing.front().number;
    std::string wrong = disk.Commit(writing.front());
    if (problem.empty()) problem = std::move(wrong);
    writing.pop_front();
  }
  core->OnPersisted(now, number);
  std::vector<Gated> released;
  std::erase_if(gated, [&](Gated& waiting) {
    if (waiting.gate > core->persisted()) return false;
    released.push_back(std::move(waiting));
    return true;
  });
  return released;
}

void DrivenCore::WhenDurable(Gated waiting) {
  if (waiting.gate <= core->persisted()) {
    waiting.action();
  } else {
    gated.push_back(std::move(waiting));
  }
}

}  // namespace ringraft::core
