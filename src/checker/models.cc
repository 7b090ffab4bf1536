#include "checker/models.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "checker/kv_model.h"
#include "checker/word_encoding.h"

namespace ringraft::checker {
namespace {

constexpr std::array<const char*, 4> kNames = {"registers", "counters", "lists", "kv"};

using Words = std::vector<std::string>;

bool Answers(const std::string* result, std::string_view expected) { return result == nullptr || *result == expected; }

// The state is the answer of a read.
class RegisterModel final : public WorkloadModel {
 public:
  bool IsCommand(std::string_view command) const override { return Parse(command).has_value(); }
  std::string Initial(std::string_view) const override { return "nil"; }

  bool Step(std::string& state, std::string_view command, const std::string* result) const override {
    const std::optional<Words> words = Parse(command);
    if (!words) return false;
    if ((*words)[0] == "read") return Answers(result, state);
    const bool is_cas = (*words)[0] == "cas";
    if (is_cas && state != Value((*words)[2])) return Answers(result, "no");
    state = Value(words->back());
    return Answers(result, "ok");
  }

  StepHint HintFor(std::string_view command, const std::string* result) const override {
    StepHint hint;
    const std::optional<Words> words = Parse(command);
    if (!words) return hint;
    if ((*words)[0] == "read") {
      hint.is_read_only = true;
      if (result != nullptr) hint.needs = *result;
    } else if ((*words)[0] == "write") {
      hint.is_overwrite = Answers(result, "ok");
      hint.leaves = Value((*words)[2]);
    } else if (result != nullptr && *result == "no") {
      hint.is_read_only = true;
    } else {
      if (result != nullptr) hint.needs = Value((*words)[2]);
      hint.leaves = Value((*words)[3]);
    }
    return hint;
  }

 private:
  static std::string Value(std::string_view value) { return "=" + EncodeWord(value); }
  static std::optional<Words> Parse(std::string_view command) {
    std::optional<Words> words = SplitWords(command);
    if (!words) return words;
    const std::string& name = words->front();
    const bool is_command = (name == "read" && words->size() == 2) || (name == "write" && words->size() == 3) ||
                            (name == "cas" && words->size() == 4);
    if (!is_command) words.reset();
    return words;
  }
};

// The state is the sum. Invariant: it never decreases.
class CounterModel final : public WorkloadModel {
 public:
  bool IsCommand(std::string_view command) const override { return Amount(command).has_value(); }
  std::string Initial(std::string_view) const override { return "0"; }

  bool Step(std::string& state, std::string_view command, const std::string* result) const override {
    const std::optional<int64_t> amount = Amount(command);
    if (!amount) return false;
    int64_t sum = 0;
    if (__builtin_add_overflow(*ParseNumber(state), *amount, &sum)) return Answers(result, "overflow");
    std::string answer = fmt::format_int(sum).c_str();
    if (!Answers(result, answer)) return false;
    state = std::move(answer);
    return true;
  }

  StepHint HintFor(std::string_view command, const std::string* result) const override {
    StepHint hint;
    const int64_t amount = Amount(command).value_or(0);
    hint.is_read_only = amount == 0 || (result != nullptr && *result == "overflow");
    const int64_t sum = result == nullptr ? -1 : ParseNumber(*result).value_or(-1);
    if (sum >= amount) {
      hint.needs = fmt::format_int(sum - amount).c_str();
      if (amount > 0) hint.leaves = *result;
    }
    return hint;
  }

  bool IsOutOfReach(std::string_view state, std::string_view command, const std::string& result) const override {
    const std::optional<int64_t> amount = Amount(command);
    const std::optional<int64_t> sum = ParseNumber(result);
    if (!amount || !sum) return result != "overflow";
    return *sum < *amount || *ParseNumber(state) > *sum - *amount;
  }

 private:
  static std::optional<int64_t> Amount(std::string_view command) {
    const std::optional<Words> words = SplitWords(command);
    if (!words || words->size() != 3 || (*words)[0] != "add") return std::nullopt;
    const std::optional<int64_t> amount = ParseNumber((*words)[2]);
    return amount && *amount >= 0 ? amount : std::nullopt;
  }
};

// The state is the length, a colon, and the encoded values with a blank after each, as in "2:a b ". Invariant: it only
// grows, at its end.
class ListModel final : public WorkloadModel {
 public:
  bool IsCommand(std::string_view command) const override { return Parse(command).has_value(); }
  std::string Initial(std::string_view) const override { return "0:"; }

  bool Step(std::string& state, std::string_view command, const std::string* result) const override {
    const std::optional<Words> words = Parse(command);
    if (!words) return false;
    const State list = Split(state);
    if ((*words)[0] == "read") {
      if (result == nullptr) return true;
      const std::optional<std::string_view> values = Values(*result);
      return values && Equals(*values, list.values);
    }
    const std::string length = fmt::format_int(list.length + 1).c_str();
    if (!Answers(result, length)) return false;
    state = fmt::format("{}:{}{} ", length, list.values, EncodeWord((*words)[2]));
    return true;
  }

  StepHint HintFor(std::string_view command, const std::string* result) const override {
    StepHint hint;
    hint.is_read_only = command.starts_with("read ");
    if (!hint.is_read_only || result == nullptr) return hint;
    const std::optional<std::string_view> values = Values(*result);
    if (!values) return hint;
    const auto blanks = std::count(values->begin(), values->end(), ' ');
    hint.needs = values->empty() ? "0:" : fmt::format("{}:{} ", blanks + 1, *values);
    return hint;
  }

  bool IsOutOfReach(std::string_view state, std::string_view command, const std::string& result) const override {
    const State list = Split(state);
    if (command.starts_with("append ")) {
      const std::optional<int64_t> length = ParseNumber(result);
      return !length || *length <= list.length;
    }
    const std::optional<std::string_view> values = Values(result);
    if (!values) return true;
    if (values->size() < list.values.size()) return !Equals(*values, list.values);
    return !values->starts_with(list.values);
  }

 private:
  struct State {
    int64_t length = 0;
    std::string_view values;
  };
  static State Split(std::string_view state) {
    const size_t colon = state.find(':');
    return State{*ParseNumber(state.substr(0, colon)), state.substr(colon + 1)};
  }
  // Returns the text between the brackets.
  static std::optional<std::string_view> Values(std::string_view result) {
    if (result.size() < 2 || result.front() != '[' || result.back() != ']') return std::nullopt;
    return result.substr(1, result.size() - 2);
  }
  // An answer has no blank after its last value.
  static bool Equals(std::string_view answer, std::string_view values) {
    if (values.empty()) return answer.empty();
    return answer == values.substr(0, values.size() - 1);
  }
  static std::optional<Words> Parse(std::string_view command) {
    std::optional<Words> words = SplitWords(command);
    if (!words) return words;
    const std::string& name = words->front();
    const bool is_command = (name == "read" && words->size() == 2) || (name == "append" && words->size() == 3);
    if (!is_command) words.reset();
    return words;
  }
};

}  // namespace

const char* WorkloadName(Workload workload) { return kNames[static_cast<size_t>(workload)]; }

std::optional<Workload> WorkloadFromName(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (name == kNames[i]) return static_cast<Workload>(i);
  }
  return std::nullopt;
}

std::string ReadRegister(std::string_view key) { return JoinWords({"read", key}); }
std::string WriteRegister(std::string_view key, std::string_view value) { return JoinWords({"write", key, value}); }
std::string CompareAndSet(std::string_view key, std::string_view expected, std::string_view desired) {
  return JoinWords({"cas", key, expected, desired});
}
std::string AddToCounter(std::string_view key, uint64_t amount) {
  return JoinWords({"add", key, fmt::format_int(amount).c_str()});
}
std::string AppendToList(std::string_view key, std::string_view value) { return JoinWords({"append", key, value}); }
std::string ReadList(std::string_view key) { return JoinWords({"read", key}); }

std::string WorkloadModel::Partition(std::string_view command) const {
  const std::optional<Words> words = SplitWords(command);
  return words && words->size() >= 2 ? (*words)[1] : std::string();
}

std::unique_ptr<WorkloadModel> MakeModel(Workload workload) {
  switch (workload) {
    case Workload::kRegisters: return std::make_unique<RegisterModel>();
    case Workload::kCounters: return std::make_unique<CounterModel>();
    case Workload::kLists: return std::make_unique<ListModel>();
    case Workload::kKeyValue: break;
  }
  return std::make_unique<KvModel>();
}

}  // namespace ringraft::checker
