// Numbers the states and steps of a model, so that a search compares numbers and calls the model about once for each
// step. Owned by one search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "checker/search_hints.h"
#include "ringraft/sim.h"

namespace ringraft::checker {

using sim::Model;

// A 128-bit fingerprint of a set, the exclusive or of its members' marks. Two sets among 10^8 share one with a
// probability of 10^-23; a search would then miss one branch.
struct Fingerprint {
  uint64_t a = 0;
  uint64_t b = 0;
  bool operator==(const Fingerprint&) const = default;
  Fingerprint operator^(const Fingerprint& other) const { return {a ^ other.a, b ^ other.b}; }
  static Fingerprint OfNumber(uint64_t number);
};

class StepTable {
 public:
  static constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

  // A command with an answer. The operations own the texts.
  struct Kind {
    std::string_view command;
    const std::string* result = nullptr;
    bool is_read_only = false;
    bool is_overwrite = false;
    uint32_t needs = kNone;   // a state
    uint32_t leaves = kNone;  // a state
  };

  // `operations` is the expected number of operations; it sizes the cache.
  StepTable(const Model& model, size_t operations);
  StepTable(const StepTable&) = delete;

  uint32_t AddKind(std::string_view command, const std::string* result);
  const Kind& kind(uint32_t id) const { return kinds_[id]; }
  size_t kind_count() const { return kinds_.size(); }

  uint32_t Intern(std::string_view state);
  const std::string& state(uint32_t id) const { return *states_[id]; }
  size_t state_count() const { return states_.size(); }
  size_t bytes() const { return bytes_; }

  // Returns the state after the step; kNone if the model does not allow it.
  uint32_t Step(uint32_t state, uint32_t kind);

  const SearchHints* hints() const { return hints_; }

 private:
  // The last steps taken, by a hash of state and kind; a newer one replaces an older one.
  struct Remembered {
    uint32_t state = kNone;
    uint32_t kind = kNone;
    uint32_t next = kNone;
  };

  const Model& model_;
  const SearchHints* const hints_;
  std::map<std::tuple<bool, std::string_view, std::string_view>, uint32_t> kind_ids_;
  std::vector<Kind> kinds_;
  std::unordered_map<std::string, uint32_t> state_ids_;
  std::vector<const std::string*> states_;
  size_t bytes_ = 0;
  std::vector<Remembered> remembered_;
  std::string scratch_;
};

}  // namespace ringraft::checker
