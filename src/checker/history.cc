#include "checker/history.h"

#include <fmt/format.h>

#include <charconv>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>

#include "checker/text_format.h"

namespace ringraft::checker {
namespace {

constexpr const char* kUnknown = "-";
constexpr const char* kEmpty = ".";

std::string ToHex(std::string_view bytes) {
  if (bytes.empty()) return kEmpty;
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return hex;
}

int Digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::optional<std::string> FromHex(std::string_view hex) {
  std::string bytes;
  if (hex == kEmpty) return bytes;
  if (hex.empty() || hex.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = Digit(hex[i]);
    const int low = Digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

template <class Number>
bool ParseWhole(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return fields;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

// Returns what is wrong with the line; empty if it is correct.
std::string ParseOperation(const std::vector<std::string_view>& fields, Operation& operation) {
  if (fields.size() != 5) {
    return fmt::format("{} words; expected 5: client, invoked, returned or -, command, answer or -", fields.size());
  }
  const auto wrong = [](const char* what, std::string_view value, const char* expected) {
    return fmt::format("invalid {} '{}': expected {}", what, Printable(value.substr(0, 40)), expected);
  };
  if (!ParseWhole(fields[0], operation.client)) return wrong("client", fields[0], "a non-negative integer");
  if (!ParseWhole(fields[1], operation.invoked) || operation.invoked == Operation::kNever) {
    return wrong("time of invocation", fields[1], "nanoseconds");
  }
  std::optional<std::string> command = FromHex(fields[3]);
  if (!command) return wrong("command", fields[3], "an even number of hexadecimal digits, or . if it is empty");
  operation.command = std::move(*command);
  const bool is_unknown = fields[2] == kUnknown;
  if (is_unknown != (fields[4] == kUnknown)) {
    return "only one of the time of return and the answer is -: expected both or neither";
  }
  if (is_unknown) return std::string();
  if (!ParseWhole(fields[2], operation.returned) || operation.returned == Operation::kNever) {
    return wrong("time of return", fields[2], "nanoseconds, or - if the outcome is unknown");
  }
  if (operation.returned < operation.invoked) {
    return fmt::format("the time of return {} is before the time of invocation {}: expected times of one clock",
                       fields[2], fields[1]);
  }
  operation.result = FromHex(fields[4]);
  if (!operation.result) return wrong("answer", fields[4], "an even number of hexadecimal digits, or . if it is empty");
  return std::string();
}

}  // namespace

Result<std::vector<Operation>> ReadHistory(std::istream& in) {
  std::vector<Operation> history;
  std::string line;
  for (size_t number = 1; std::getline(in, line); ++number) {
    const std::vector<std::string_view> fields = Fields(line);
    if (fields.empty() || fields[0].starts_with('#')) continue;
    Operation operation;
    const std::string problem = ParseOperation(fields, operation);
    if (!problem.empty()) return Error(Errc::kInvalidArgument, fmt::format("line {}: {}", number, problem));
    history.push_back(std::move(operation));
  }
  if (in.bad()) return Error(Errc::kIo, fmt::format("reading the history failed after operation {}", history.size()));
  return history;
}

void WriteHistory(const std::vector<Operation>& history, std::ostream& out) {
  for (const Operation& operation : history) {
    const bool is_unknown = operation.returned == Operation::kNever;
    out << operation.client << ' ' << operation.invoked << ' '
        << (is_unknown ? kUnknown : fmt::format("{}", operation.returned)) << ' ' << ToHex(operation.command) << ' '
        << (is_unknown ? kUnknown : ToHex(operation.result.value_or(""))) << '\n';
  }
}

}  // namespace ringraft::checker
