#include "ringraft/state_machine.h"

namespace ringraft {

void ApplyResults::Add(std::string_view result) {
  if (size_ == values_.size()) values_.emplace_back();
  values_[size_++].Assign(result);
}

}  // namespace ringraft
