#include "checker/step_table.h"

#include <algorithm>
#include <bit>

namespace ringraft::checker {
namespace {

// The finalizer of splitmix64.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

Fingerprint Fingerprint::OfNumber(uint64_t number) {
  return Fingerprint{Mix(2 * number), Mix(Mix(2 * number + 1) + 0x632be59bd9b4e019u)};
}

StepTable::StepTable(const Model& model, size_t operations)
    : model_(model),
      hints_(dynamic_cast<const SearchHints*>(&model)),
      remembered_(std::bit_ceil(std::clamp(operations * 16, size_t{256}, size_t{1} << 20))) {}

uint32_t StepTable::AddKind(std::string_view command, const std::string* result) {
  const auto key = std::make_tuple(result != nullptr, command, result == nullptr ? std::string_view() : *result);
  const auto [place, is_new] = kind_ids_.emplace(key, static_cast<uint32_t>(kinds_.size()));
  if (!is_new) return place->second;
  Kind kind;
  kind.command = command;
  kind.result = result;
  if (hints_ != nullptr) {
    const StepHint hint = hints_->HintFor(command, result);
    kind.is_read_only = hint.is_read_only;
    kind.is_overwrite = hint.is_overwrite;
    if (hint.needs) kind.needs = Intern(*hint.needs);
    if (hint.leaves) kind.leaves = Intern(*hint.leaves);
  }
  kinds_.push_back(kind);
  return place->second;
}

uint32_t StepTable::Intern(std::string_view state) {
  const auto [place, is_new] = state_ids_.emplace(std::string(state), static_cast<uint32_t>(states_.size()));
  if (is_new) {
    states_.push_back(&place->first);  // stable: the map's nodes do not move
    bytes_ += sizeof(*place) + sizeof(void*) * 4 + state.size();
  }
  return place->second;
}

uint32_t StepTable::Step(uint32_t state, uint32_t kind) {
  Remembered& slot = remembered_[Mix(uint64_t{state} << 32 | kind) & (remembered_.size() - 1)];
  if (slot.state == state && slot.kind == kind) return slot.next;
  scratch_ = *states_[state];
  const bool is_possible = model_.Step(scratch_, kinds_[kind].command, kinds_[kind].result);
  slot = Remembered{state, kind, is_possible ? Intern(scratch_) : kNone};
  return slot.next;
}

}  // namespace ringraft::checker
