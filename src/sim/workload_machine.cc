#include "sim/workload_machine.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <limits>
#include <optional>

#include "checker/word_encoding.h"

namespace ringraft::sim {
namespace {

using checker::EncodeWord;
using checker::ParseNumber;
using checker::SplitWords;

constexpr size_t kMaxValueBytes = size_t{1} << 20;
constexpr const char* kNull = "$-1\r\n";
constexpr const char* kOk = "+OK\r\n";
constexpr const char* kNotAnInteger = "-ERR value is not an integer or out of range\r\n";

std::string Integer(int64_t number) { return fmt::format(":{}\r\n", number); }
std::string Bulk(std::string_view bytes) { return fmt::format("${}\r\n{}\r\n", bytes.size(), bytes); }
std::string UnknownCommand() { return "error: unknown command of this workload"; }

// Lengths precede texts, so that different states have different encodings.
void Add(std::string& all, std::string_view text) {
  all += fmt::format("{}:", text.size());
  all.append(text);
}

}  // namespace

Result<size_t> WorkloadMachine::Apply(std::span<const LogEntry> entries, ApplyResults& results) {
  for (const LogEntry& entry : entries) results.Add(Execute(entry.command));
  return entries.size();
}

std::string WorkloadMachine::Execute(std::string_view command) {
  const std::optional<Words> words = SplitWords(command);
  if (!words || words->size() < 2) return UnknownCommand();
  switch (workload_) {
    case Workload::kRegisters: return OnRegister(*words);
    case Workload::kCounters: return OnCounter(*words);
    case Workload::kLists: return OnList(*words);
    case Workload::kKeyValue: break;
  }
  return OnKeyValue(*words);
}

std::string WorkloadMachine::OnRegister(const Words& words) {
  const auto place = values_.find(words[1]);
  if (words[0] == "read" && words.size() == 2) return place == values_.end() ? "nil" : "=" + EncodeWord(place->second);
  if (words[0] == "write" && words.size() == 3) {
    values_[words[1]] = words[2];
    return "ok";
  }
  if (words[0] != "cas" || words.size() != 4) return UnknownCommand();
  if (place == values_.end() || place->second != words[2]) return "no";
  place->second = words[3];
  return "ok";
}

std::string WorkloadMachine::OnCounter(const Words& words) {
  if (words[0] != "add" || words.size() != 3) return UnknownCommand();
  const std::optional<int64_t> amount = ParseNumber(words[2]);
  if (!amount || *amount < 0) return UnknownCommand();
  int64_t& sum = sums_[words[1]];
  if (*amount > std::numeric_limits<int64_t>::max() - sum) return "overflow";
  sum += *amount;
  return std::to_string(sum);
}

std::string WorkloadMachine::OnList(const Words& words) {
  if (words[0] == "append" && words.size() == 3) {
    std::vector<std::string>& list = lists_[words[1]];
    list.push_back(words[2]);
    return std::to_string(list.size());
  }
  if (words[0] != "read" || words.size() != 2) return UnknownCommand();
  std::string answer = "[";
  const auto place = lists_.find(words[1]);
  if (place != lists_.end()) {
    for (const std::string& value : place->second) {
      if (answer.size() > 1) answer.push_back(' ');
      answer += EncodeWord(value);
    }
  }
  return answer + "]";
}

std::string WorkloadMachine::OnKeyValue(const Words& words) {
  const std::string& name = words[0];
  const std::string& key = words[1];
  const auto place = values_.find(key);
  const bool is_there = place != values_.end();
  if (name == "SET" && words.size() >= 3) return Set(words);
  if (words.size() == 2) {
    if (name == "GET") return is_there ? Bulk(place->second) : kNull;
    if (name == "EXISTS") return Integer(is_there);
    if (name == "STRLEN") return Integer(is_there ? static_cast<int64_t>(place->second.size()) : 0);
    if (name == "DEL") return Integer(static_cast<int64_t>(values_.erase(key)));
    if (name == "GETDEL") {
      std::string old = is_there ? Bulk(place->second) : kNull;
      values_.erase(key);
      return old;
    }
    if (name == "INCR") return Increment(key, "1", false);
    if (name == "DECR") return Increment(key, "1", true);
  }
  if (words.size() == 3) {
    if (name == "SETNX") return Integer(values_.emplace(key, words[2]).second);
    if (name == "INCRBY") return Increment(key, words[2], false);
    if (name == "DECRBY") return Increment(key, words[2], true);
    if (name == "APPEND") return Append(key, words[2]);
  }
  return UnknownCommand();
}

std::string WorkloadMachine::Set(const Words& words) {
  const auto place = values_.find(words[1]);
  bool is_allowed = true;
  bool wants_old = false;
  int conditions = 0;
  for (size_t i = 3; i < words.size(); ++i) {
    const std::string& option = words[i];
    if (option == "GET") {
      wants_old = true;
      continue;
    }
    ++conditions;
    if (option == "NX") {
      is_allowed = place == values_.end();
    } else if (option == "XX") {
      is_allowed = place != values_.end();
    } else if (option == "IFEQ" && i + 1 < words.size()) {
      ++i;
      is_allowed = place != values_.end() && place->second == words[i];
    } else {
      return UnknownCommand();
    }
  }
  if (conditions > 1) return UnknownCommand();
  std::string answer = is_allowed ? kOk : kNull;
  if (wants_old) answer = place == values_.end() ? kNull : Bulk(place->second);
  if (is_allowed) values_[words[1]] = words[2];
  return answer;
}

std::string WorkloadMachine::Increment(const std::string& key, std::string_view by, bool is_decrement) {
  const std::optional<int64_t> amount = ParseNumber(by);
  if (!amount) return kNotAnInteger;
  if (is_decrement && *amount == std::numeric_limits<int64_t>::min()) return "-ERR decrement would overflow\r\n";
  const auto place = values_.find(key);
  const std::optional<int64_t> old = place == values_.end() ? 0 : ParseNumber(place->second);
  if (!old) return kNotAnInteger;
  int64_t sum = 0;
  const bool overflows =
      is_decrement ? __builtin_sub_overflow(*old, *amount, &sum) : __builtin_add_overflow(*old, *amount, &sum);
  if (overflows) return "-ERR increment or decrement would overflow\r\n";
  values_[key] = std::to_string(sum);
  return Integer(sum);
}

std::string WorkloadMachine::Append(const std::string& key, const std::string& tail) {
  const auto place = values_.find(key);
  const size_t size = (place == values_.end() ? 0 : place->second.size()) + tail.size();
  if (size > kMaxValueBytes) {
    return fmt::format("-ERR string exceeds maximum allowed size ({} bytes, the limit is {})\r\n", size,
                       kMaxValueBytes);
  }
  values_[key] += tail;
  return Integer(static_cast<int64_t>(size));
}

std::string WorkloadMachine::Digest() const {
  std::string all;
  for (const auto& [key, value] : values_) {
    Add(all, key);
    Add(all, value);
  }
  for (const auto& [key, sum] : sums_) {
    Add(all, key);
    Add(all, std::to_string(sum));
  }
  for (const auto& [key, list] : lists_) {
    Add(all, key);
    Add(all, std::to_string(list.size()));
    for (const std::string& value : list) Add(all, value);
  }
  const size_t keys = values_.size() + sums_.size() + lists_.size();
  return fmt::format("{}, {} keys, {:016x}", checker::WorkloadName(workload_), keys,
                     XXH3_64bits(all.data(), all.size()));
}

}  // namespace ringraft::sim
