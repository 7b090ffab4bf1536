#include "checker/kv_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "checker/text_format.h"
#include "checker/word_encoding.h"

namespace ringraft::checker {
namespace {

using Words = std::vector<std::string>;
using Value = std::optional<std::string>;

constexpr size_t kMaxValueBytes = size_t{1} << 20;  // as in kv/store.h

enum class Verb { kGet, kSet, kSetNx, kDel, kGetDel, kExists, kStrLen, kIncrBy, kAppend };

struct Call {
  Verb verb = Verb::kGet;
  std::string operand;  // a value
  std::optional<int64_t> increment;
  bool is_decrement = false;
  bool only_new = false;
  bool only_existing = false;
  Value only_if_equal;
  bool wants_old = false;

  bool IsConditional() const { return only_new || only_existing || only_if_equal; }
};

std::optional<Call> ParseSet(const Words& words) {
  if (words.size() < 3) return std::nullopt;
  Call call;
  call.verb = Verb::kSet;
  call.operand = words[2];
  for (size_t i = 3; i < words.size(); ++i) {
    if (words[i] == "GET") {
      call.wants_old = true;
      continue;
    }
    if (call.IsConditional()) return std::nullopt;
    if (words[i] == "NX") {
      call.only_new = true;
    } else if (words[i] == "XX") {
      call.only_existing = true;
    } else if (words[i] == "IFEQ" && i + 1 < words.size()) {
      call.only_if_equal = words[++i];
    } else {
      return std::nullopt;
    }
  }
  return call;
}

std::optional<Call> Parse(std::string_view command) {
  const std::optional<Words> words = SplitWords(command);
  if (!words || words->size() < 2) return std::nullopt;
  const std::string& name = words->front();
  if (name == "SET") return ParseSet(*words);
  struct Spec {
    const char* name;
    size_t words;
    Verb verb;
  };
  static constexpr Spec kSpecs[] = {
      {"GET", 2, Verb::kGet},       {"SETNX", 3, Verb::kSetNx},   {"DEL", 2, Verb::kDel},
      {"GETDEL", 2, Verb::kGetDel}, {"EXISTS", 2, Verb::kExists}, {"STRLEN", 2, Verb::kStrLen},
      {"INCR", 2, Verb::kIncrBy},   {"INCRBY", 3, Verb::kIncrBy}, {"DECR", 2, Verb::kIncrBy},
      {"DECRBY", 3, Verb::kIncrBy}, {"APPEND", 3, Verb::kAppend},
  };
  const auto spec = std::find_if(std::begin(kSpecs), std::end(kSpecs), [&](const Spec& s) { return name == s.name; });
  if (spec == std::end(kSpecs) || words->size() != spec->words) return std::nullopt;
  Call call;
  call.verb = spec->verb;
  call.is_decrement = name.starts_with("DECR");
  if (words->size() == 3) call.operand = (*words)[2];
  if (call.verb == Verb::kIncrBy) call.increment = words->size() == 2 ? 1 : ParseNumber(call.operand);
  return call;
}

bool IsNull(std::string_view reply) { return reply == "$-1\r\n" || reply == "_\r\n"; }
bool Is(const std::string* reply, std::string_view expected) { return reply == nullptr || *reply == expected; }
bool IsInteger(const std::string* reply, int64_t value) { return Is(reply, fmt::format(":{}\r\n", value)); }
bool IsBulkOrNull(const std::string* reply, const Value& value) {
  if (reply == nullptr) return true;
  return value ? *reply == fmt::format("${}\r\n{}\r\n", value->size(), *value) : IsNull(*reply);
}
bool IsOkOrNull(const std::string* reply, bool is_ok) {
  return reply == nullptr || (is_ok ? *reply == "+OK\r\n" : IsNull(*reply));
}

bool StepSet(Value& value, const Call& call, const std::string* reply) {
  const bool is_done = (!call.only_new || !value) && (!call.only_existing || value) &&
                       (!call.only_if_equal || (value && *value == *call.only_if_equal));
  const bool is_possible = call.wants_old ? IsBulkOrNull(reply, value) : IsOkOrNull(reply, is_done);
  if (is_done) value = call.operand;
  return is_possible;
}

bool StepIncrBy(Value& value, const Call& call, const std::string* reply) {
  const char* kNotAnInteger = "-ERR value is not an integer or out of range\r\n";
  if (!call.increment) return Is(reply, kNotAnInteger);
  if (call.is_decrement && *call.increment == std::numeric_limits<int64_t>::min()) {
    return Is(reply, "-ERR decrement would overflow\r\n");
  }
  const std::optional<int64_t> old = value ? ParseNumber(*value) : 0;
  if (!old) return Is(reply, kNotAnInteger);
  int64_t sum = 0;
  if (__builtin_add_overflow(*old, call.is_decrement ? -*call.increment : *call.increment, &sum)) {
    return Is(reply, "-ERR increment or decrement would overflow\r\n");
  }
  value = fmt::format_int(sum).c_str();
  return IsInteger(reply, sum);
}

bool StepAppend(Value& value, const Call& call, const std::string* reply) {
  const size_t size = (value ? value->size() : 0) + call.operand.size();
  if (size > kMaxValueBytes) {
    return Is(reply, fmt::format("-ERR string exceeds maximum allowed size ({} bytes, the limit is {})\r\n", size,
                                 kMaxValueBytes));
  }
  value = value.value_or("") + call.operand;
  return IsInteger(reply, static_cast<int64_t>(size));
}

bool StepCall(Value& value, const Call& call, const std::string* reply) {
  switch (call.verb) {
    case Verb::kGet: return IsBulkOrNull(reply, value);
    case Verb::kSet: return StepSet(value, call, reply);
    case Verb::kSetNx: {
      const bool is_new = !value;
      if (is_new) value = call.operand;
      return IsInteger(reply, is_new);
    }
    case Verb::kDel: {
      const bool was_there = value.has_value();
      value.reset();
      return IsInteger(reply, was_there);
    }
    case Verb::kGetDel: {
      const bool is_possible = IsBulkOrNull(reply, value);
      value.reset();
      return is_possible;
    }
    case Verb::kExists: return IsInteger(reply, value.has_value());
    case Verb::kStrLen: return IsInteger(reply, static_cast<int64_t>(value ? value->size() : 0));
    case Verb::kIncrBy: return StepIncrBy(value, call, reply);
    case Verb::kAppend: return StepAppend(value, call, reply);
  }
  return false;
}

// Returns the state in which GET has this reply; none if the reply is not a value.
std::optional<std::string> StateOfBulk(const std::string& reply) {
  if (IsNull(reply)) return "";
  const size_t end = reply.find("\r\n");
  if (reply.empty() || reply[0] != '$' || end == std::string::npos || reply.size() < end + 4) return std::nullopt;
  return "=" + reply.substr(end + 2, reply.size() - end - 4);
}

void HintSet(const Call& call, const std::string* result, StepHint& hint) {
  hint.leaves = "=" + call.operand;
  if (result == nullptr) {
    hint.is_overwrite = !call.IsConditional();
  } else if (call.wants_old) {
    hint.needs = StateOfBulk(*result);
  } else if (IsNull(*result)) {
    hint.is_read_only = true;
    hint.leaves.reset();
  } else {
    hint.is_overwrite = !call.IsConditional() && *result == "+OK\r\n";
    if (call.only_new) hint.needs = "";
    if (call.only_if_equal) hint.needs = "=" + *call.only_if_equal;
  }
}

}  // namespace

bool KvModel::IsCommand(std::string_view command) const { return Parse(command).has_value(); }

bool KvModel::Step(std::string& state, std::string_view command, const std::string* result) const {
  const std::optional<Call> call = Parse(command);
  if (!call) return false;
  Value value;
  if (!state.empty()) value = state.substr(1);
  if (!StepCall(value, *call, result)) return false;
  state = value ? "=" + *value : "";
  return true;
}

StepHint KvModel::HintFor(std::string_view command, const std::string* result) const {
  StepHint hint;
  const std::optional<Call> call = Parse(command);
  if (!call) return hint;
  if (result != nullptr && result->starts_with('-')) {
    hint.is_read_only = true;  // an error changes nothing
    return hint;
  }
  switch (call->verb) {
    case Verb::kGet:
      hint.is_read_only = true;
      if (result != nullptr) hint.needs = StateOfBulk(*result);
      break;
    case Verb::kExists:
    case Verb::kStrLen: hint.is_read_only = true; break;
    case Verb::kSet: HintSet(*call, result, hint); break;
    case Verb::kSetNx:
      if (result != nullptr && *result == ":0\r\n") {
        hint.is_read_only = true;
      } else {
        hint.leaves = "=" + call->operand;
        if (result != nullptr) hint.needs = "";
      }
      break;
    case Verb::kDel:
      hint.is_overwrite = result == nullptr;
      hint.is_read_only = result != nullptr && *result == ":0\r\n";
      if (!hint.is_read_only) hint.leaves = "";
      break;
    case Verb::kGetDel:
      hint.is_overwrite = result == nullptr;
      hint.is_read_only = result != nullptr && IsNull(*result);
      if (result != nullptr) hint.needs = StateOfBulk(*result);
      if (!hint.is_read_only) hint.leaves = "";
      break;
    case Verb::kIncrBy:
      if (result != nullptr && result->size() > 3) hint.leaves = "=" + result->substr(1, result->size() - 3);
      break;
    case Verb::kAppend: break;
  }
  return hint;
}

std::string KvModel::Describe(std::string_view command, const std::string* result) const {
  std::string text = Printable(command) + " -> ";
  if (result == nullptr) return text + "?";
  if (IsNull(*result)) return text + "nil";
  const std::string_view body = std::string_view(*result).substr(0, result->find("\r\n"));
  const bool is_simple = !body.empty() && (body[0] == '+' || body[0] == ':' || body[0] == '-');
  if (is_simple && body.size() + 2 == result->size()) return text + Printable(body.substr(body[0] == '-' ? 0 : 1));
  const std::optional<std::string> value = StateOfBulk(*result);
  if (!value) return text + Printable(*result);
  return text + "\"" + Printable(std::string_view(*value).substr(1)) + "\"";
}

}  // namespace ringraft::checker
